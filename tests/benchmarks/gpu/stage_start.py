"""What a new size costs: `python -m benchmarks.gpu.stage_start WIDTH SIZES` measures it in a process of its own."""

import json
import sys
import time
from statistics import median
from typing import Final

from benchmarks.engine.scene import Scene, best_weights
from benchmarks.figure import percentiles, seconds
from benchmarks.gpu.report import Row, Rows
from benchmarks.processes import run_alone
from shared.recipe import resolve
from worker.devices.device import configure_tensorflow
from worker.engine import stylize
from worker.engine.cache import Cache

_STEP: Final = 16  # pixels from one size to the next
_LATER: Final = 5  # steps; their median is what a step takes by itself


def stage_start(scene: Scene, sizes: int) -> Rows:
    """Seconds until the first step of a size is done, less a later step, in a process that has rendered before."""
    found = json.loads(run_alone("benchmarks.gpu.stage_start", str(scene.width), str(sizes)))
    return Rows([Row(f"stage_start_{scene.width}", "s", percentiles(found))])


def _starts(width: int, sizes: int) -> list[float]:
    """Seconds for `sizes` new sizes, without the first one, which includes what a process does only once."""
    scene, cache = Scene(width + sizes * _STEP, best_weights()), Cache()
    found = [_start(scene, cache, width + number * _STEP) for number in range(sizes + 1)]
    return found[1:]


def _start(scene: Scene, cache: Cache, size: int) -> float:
    """Seconds for style and content features, tracing and the first step, with the recipe `default`."""
    recipe = resolve({"preset": "default", "size": size, "stages": [{"scale": 1, "share": 1}]})
    began = time.perf_counter()
    iterates = stylize(scene.content, [scene.style], recipe, weights=scene.weights, cache=cache)
    next(iterates)
    first = time.perf_counter() - began
    next(iterates)  # not a later step: it may do something that only a second step does
    return first - median(seconds(lambda: next(iterates)) for _ in range(_LATER))


if __name__ == "__main__":
    configure_tensorflow(0)
    print(json.dumps(_starts(*map(int, sys.argv[1:]))))  # noqa: T201 - the answer
