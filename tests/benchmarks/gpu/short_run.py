"""Short runs: their peak GPU memory, and whether their results are the same bytes.

`python -m benchmarks.gpu.short_run WIDTH [resumed]` prints as JSON, for each recipe, the peak GPU memory (bytes
of TensorFlow's allocator, 0 without a GPU) and the digest of the last image. With `resumed` each run is also
interrupted and resumed from a checkpoint, and the digest of its image is printed, too.
"""

import hashlib
import json
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Final

import numpy as np
import tensorflow as tf

from benchmarks.engine.workload import Workload, best_weights
from benchmarks.figure import percentiles
from benchmarks.gpu.report import Row, Rows
from benchmarks.gpu.rounds import PATH
from benchmarks.processes import run_module
from shared.presets import PRESETS, resolve
from shared.recipe import Recipe
from worker.devices.device import configure_tensorflow
from worker.engine import Iterate, stylize
from worker.engine.cache import Cache
from worker.job import checkpoint_format

Runs = dict[str, dict[str, Any]]
_STAGES: Final = [{"scale": 0.5, "share": 0.1}, {"scale": 0.7, "share": 0.1}, {"scale": 1, "share": 0.8}]
_INTERRUPTED_AT: Final = 0.6  # of the steps: L-BFGS is in the last stage and has some pairs


def memory_and_bytes(workload: Workload) -> Rows:
    """Measure each recipe's peak GPU memory, and count the recipes that give other bytes in a second process."""
    one, other = in_two_processes(workload.width)
    different = sum(one[name]["digest"] != other[name]["digest"] for name in one)
    megabytes = {name: percentiles([one[name]["peak"] / 1e6, other[name]["peak"] / 1e6]) for name in one}
    peaks = [Row(f"peak_memory_{name}_{workload.width}", "MB", peak) for name, peak in megabytes.items()]
    return Rows([*peaks, Row(f"different_bytes_{workload.width}", "runs", percentiles([different]))])


def in_two_processes(width: int, *options: str) -> tuple[Runs, Runs]:
    """Return the results of the same runs in two concurrent processes."""
    with ThreadPoolExecutor(2) as threads:
        outputs = [threads.submit(run_module, "benchmarks.gpu.short_run", str(width), *options) for _ in range(2)]
        one, other = (json.loads(output.result()) for output in outputs)
    return one, other


def recipes(width: int) -> dict[str, Recipe]:
    """Return the recipe of the tutorial, which uses Adam, and `default` until the history of L-BFGS is full."""
    return {
        "tutorial": PRESETS["tutorial"].model_copy(update={"size": width, "steps": 12}),
        "default": resolve({"preset": "default", "init": "content", "size": width, "steps": 30, "stages": _STAGES}),
    }


def _run(workload: Workload, recipe: Recipe, *, resumed: bool) -> dict[str, Any]:
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    if on_gpu:
        tf.config.experimental.reset_memory_stats("GPU:0")
    cache = Cache()
    last = _last(_iterates(workload, recipe, cache))
    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] if on_gpu else 0
    results = {"peak": peak, "digest": _digest(last.image)}
    if resumed:
        interrupted = next(islice(_iterates(workload, recipe, cache), round(_INTERRUPTED_AT * recipe.steps), None))
        state = checkpoint_format.load(b"".join(checkpoint_format.dump(interrupted.state())))
        results["resumed"] = _digest(_last(_iterates(workload, recipe, Cache(), state)).image)
    return results


def _iterates(
    workload: Workload, recipe: Recipe, cache: Cache, state: dict[str, Any] | None = None
) -> Iterator[Iterate]:
    images = workload.content, [workload.style]
    return stylize(*images, recipe, weights=workload.weights, state=state, cache=cache, path=PATH)


def _last(iterates: Iterator[Iterate]) -> Iterate:
    return deque(iterates, maxlen=1).pop()  # keep no other iterate, because each holds a history


def _digest(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


if __name__ == "__main__":
    configure_tensorflow(0)
    workload = Workload(int(sys.argv[1]), best_weights())
    resumed = sys.argv[2:] == ["resumed"]
    runs = {name: _run(workload, recipe, resumed=resumed) for name, recipe in recipes(workload.width).items()}
    print(json.dumps(runs))  # noqa: T201 - the result
