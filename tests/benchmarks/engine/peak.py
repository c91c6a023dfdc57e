"""`python -m benchmarks.engine.peak RECIPE_JSON WIDTH HEIGHT [MASKS]`: the peak memory of one job in MiB.

Prints the peak measured in this process and the prediction of `shared.jobs.estimate`, whose constants and the table in
tests/unit/shared/test_estimate.py are based on it. Renders like a worker in the worst case: it writes checkpoints
while rendering, the history is full, every image is looked at, and the cache holds as many evaluations as it can. With
masks there are as many style images.
"""

import json
import queue
import sys
import threading
from collections import deque

import numpy as np

from benchmarks.engine.memory import peak_resident_bytes
from benchmarks.engine.workload import best_weights
from shared.jobs.estimate import peak_memory
from shared.presets import resolve
from shared.recipe import LBFGS, Recipe
from worker.engine import Iterate, stylize
from worker.engine.cache import Cache
from worker.job import checkpoint_format

_EVALUATIONS = 4  # in addition to those that fill the history
_CACHED_SHAPES = 6  # with one more, the process would be replaced
_QUEUED_WRITES = 2  # as in worker/job/checkpoints.py


def main(fields: str, width: int, height: int, masks: int = 0) -> None:
    """Render, and print the process's peak memory."""
    recipe = resolve(json.loads(fields))
    random = np.random.default_rng(0)
    side = round(recipe.size * recipe.style_scale)
    content = random.integers(0, 256, (height, width, 3), np.uint8)
    styles = [random.integers(0, 256, (side, side, 3), np.uint8) for _ in range(max(1, masks))]
    regions = [np.repeat(random.integers(0, 256, (1, width), np.uint8), height, axis=0) for _ in range(masks)]
    weights, cache = best_weights(), Cache()
    for size in range(64, 64 + 8 * _CACHED_SHAPES, 8):
        small = resolve({"preset": "tutorial", "size": size, "steps": 1})
        deque(stylize(content[:size, :size], [styles[0][:64, :64]], small, weights=weights, cache=cache), maxlen=0)
    writes: queue.Queue[Iterate | None] = queue.Queue(_QUEUED_WRITES)
    writer = threading.Thread(target=_write_all, args=(writes,))
    writer.start()
    for iterate in stylize(content, styles, _with_full_history(recipe), weights=weights, cache=cache, masks=regions):
        _ = iterate.image
        writes.put(iterate)
    writes.put(None)
    writer.join()
    predicted = peak_memory(recipe, width, height, [side * side] * len(styles), masks=masks)
    print(round(peak_resident_bytes() / 2**20), round(predicted / 2**20))  # noqa: T201 - the result


def _with_full_history(recipe: Recipe) -> Recipe:
    """Return the recipe with as many steps as fill the history in its last stage."""
    if not recipe.steps:
        return recipe
    needed = _EVALUATIONS + (recipe.optimizer.history if isinstance(recipe.optimizer, LBFGS) else 0)
    candidates = (recipe.model_copy(update={"steps": steps}) for steps in range(len(recipe.stages), 10_000))
    return next(candidate for candidate in candidates if candidate.schedule()[-1][1] >= needed)


def _write_all(writes: "queue.Queue[Iterate | None]") -> None:
    upload = b""
    while (iterate := writes.get()) is not None:
        del upload
        upload = b"".join(checkpoint_format.dump(iterate.state()))  # as for S3, to which it goes during the next steps
        del iterate


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
