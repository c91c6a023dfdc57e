"""`python -m benchmarks.engine.peak RECIPE_JSON WIDTH HEIGHT`: what one job takes of memory at most, in mebibytes.

Prints what was measured, in this process alone, and what `shared.jobs.estimate` predicts: the base of its constants and
of the table in tests/unit/shared/test_estimate.py. Renders as a worker does at its worst: checkpoints beside the loop,
the history full, and as many shapes met before as it keeps.
"""

import json
import sys
import threading
from collections import deque

import numpy as np

from benchmarks.engine.memory import most_resident
from benchmarks.engine.scene import best_weights
from shared.jobs.estimate import peak_memory
from shared.recipe import LBFGS, resolve
from worker.engine import Iterate, stylize
from worker.engine.cache import Cache
from worker.job import checkpoint_format

_EVALUATIONS = 4  # beyond those that fill the history
_MET_BEFORE = 6  # one more, and a fresh process would have taken over


def main(fields: str, width: int, height: int) -> None:
    """Paint, and look at the process."""
    recipe = resolve(json.loads(fields))
    needed = _EVALUATIONS + (recipe.optimizer.history if isinstance(recipe.optimizer, LBFGS) else 0)
    steps = next(
        steps for steps in range(1, 10_000) if recipe.model_copy(update={"steps": steps}).schedule()[-1][1] >= needed
    )
    random = np.random.default_rng(0)
    side = round(recipe.size * recipe.style_scale)
    content, style = (random.integers(0, 256, (*shape, 3), np.uint8) for shape in ((height, width), (side, side)))
    weights, cache = best_weights(), Cache()
    for size in range(64, 64 + 8 * _MET_BEFORE, 8):
        met = resolve({"preset": "tutorial", "size": size, "steps": 1})
        deque(stylize(content[:size, :size], [style[:64, :64]], met, weights=weights, cache=cache), maxlen=0)
    beside: list[threading.Thread] = []
    final = recipe.model_copy(update={"steps": steps})
    for frame in stylize(content, [style], final, weights=weights, cache=cache):
        if frame.step >= steps - 2:
            beside.append(threading.Thread(target=_write, args=(frame,)))
            beside[-1].start()
    for thread in beside:
        thread.join()
    print(round(most_resident() / 2**20), round(peak_memory(recipe, width, height) / 2**20))  # noqa: T201 - the answer


def _write(frame: Iterate) -> None:
    b"".join(checkpoint_format.dump(frame.state()))  # in one piece, as S3 wants it


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
