"""`python -m benchmarks.engine.peak RECIPE_JSON WIDTH HEIGHT`: the peak memory of one job in MiB.

Prints the peak measured in this process and the prediction of `shared.jobs.estimate`, whose constants and the table in
tests/unit/shared/test_estimate.py are based on it. Renders like a worker in the worst case: it writes checkpoints
while rendering, the history is full, and the cache holds as many evaluations as it can.
"""

import json
import sys
import threading
from collections import deque

import numpy as np

from benchmarks.engine.memory import peak_resident_bytes
from benchmarks.engine.workload import best_weights
from shared.jobs.estimate import peak_memory
from shared.presets import resolve
from shared.recipe import LBFGS
from worker.engine import Iterate, stylize
from worker.engine.cache import Cache
from worker.job import checkpoint_format

_EVALUATIONS = 4  # in addition to those that fill the history
_CACHED_SHAPES = 6  # with one more, the process would be replaced


def main(fields: str, width: int, height: int) -> None:
    """Render, and print the process's peak memory."""
    recipe = resolve(json.loads(fields))
    needed = _EVALUATIONS + (recipe.optimizer.history if isinstance(recipe.optimizer, LBFGS) else 0)
    steps = next(
        steps for steps in range(1, 10_000) if recipe.model_copy(update={"steps": steps}).schedule()[-1][1] >= needed
    )
    random = np.random.default_rng(0)
    side = round(recipe.size * recipe.style_scale)
    content, style = (random.integers(0, 256, (*shape, 3), np.uint8) for shape in ((height, width), (side, side)))
    weights, cache = best_weights(), Cache()
    for size in range(64, 64 + 8 * _CACHED_SHAPES, 8):
        small = resolve({"preset": "tutorial", "size": size, "steps": 1})
        deque(stylize(content[:size, :size], [style[:64, :64]], small, weights=weights, cache=cache), maxlen=0)
    writers: list[threading.Thread] = []
    final = recipe.model_copy(update={"steps": steps})
    for iterate in stylize(content, [style], final, weights=weights, cache=cache):
        if iterate.step >= steps - 2:
            writers.append(threading.Thread(target=_write, args=(iterate,)))
            writers[-1].start()
    for thread in writers:
        thread.join()
    print(round(peak_resident_bytes() / 2**20), round(peak_memory(recipe, width, height) / 2**20))  # noqa: T201 - the result


def _write(iterate: Iterate) -> None:
    b"".join(checkpoint_format.dump(iterate.state()))  # in one piece, as for S3


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
