"""Time to start a stage at a new size: `python -m benchmarks.gpu.stage_start WIDTH SIZES`."""

import json
import sys
import time
from statistics import median
from typing import Final

from benchmarks.engine.workload import Workload, best_weights
from benchmarks.figure import percentiles, seconds
from benchmarks.gpu.report import Row, Rows
from benchmarks.gpu.rounds import PATH
from benchmarks.processes import run_module
from shared.presets import resolve
from worker.devices.device import configure_tensorflow
from worker.engine import stylize
from worker.engine.cache import Cache

_SIZE_STEP: Final = 16  # pixels
_LATER_STEPS: Final = 5  # their median is the time of a step without a start


def stage_start(workload: Workload, sizes: int) -> Rows:
    """Measure the time of a size's first step minus that of a later step, in a process that has rendered before."""
    times = json.loads(run_module("benchmarks.gpu.stage_start", str(workload.width), str(sizes)))
    return Rows([Row(f"stage_start_{workload.width}", "s", percentiles(times))])


def _starts(width: int, sizes: int) -> list[float]:
    """Return the seconds for `sizes` new sizes after a first one, which includes the start of the process."""
    workload, cache = Workload(width + sizes * _SIZE_STEP, best_weights()), Cache()
    times = [_start(workload, cache, width + number * _SIZE_STEP) for number in range(sizes + 1)]
    return times[1:]


def _start(workload: Workload, cache: Cache, size: int) -> float:
    """Return the seconds for style and content features, tracing and the first step, from the content."""
    recipe = resolve({"preset": "default", "init": "content", "size": size})
    began = time.perf_counter()
    iterates = stylize(workload.content, [workload.style], recipe, weights=workload.weights, cache=cache, path=PATH)
    next(iterates)
    first = time.perf_counter() - began
    next(iterates)  # the second step may do more than later ones
    return first - median(seconds(lambda: next(iterates)) for _ in range(_LATER_STEPS))


if __name__ == "__main__":
    configure_tensorflow(0)
    print(json.dumps(_starts(*map(int, sys.argv[1:]))))  # noqa: T201 - the result
