"""Time from a job's submission to its first progress event on a warm worker, without the engine's own time."""

import time
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.engine.timed_worker import JobTiming
from benchmarks.engine.workload import Workload, best_weights, png
from benchmarks.figure import Figure, figure
from benchmarks.stack import BenchmarkStack
from easel import Easel

_WIDTH: Final = 256
_RECIPE: Final[dict[str, Any]] = {"size": _WIDTH, "steps": 2, "stages": [{"scale": 1, "share": 1}]}
_ROUNDS: Final = {False: 20, True: 8}


def warm_worker_latency(*, quick: bool) -> Figure:
    """Return the seconds of consecutive jobs of one shape and one style through the whole stack.

    Raises AssertionError if a later job traced an evaluation or evaluated the style again.
    """
    with BenchmarkStack.run_temporarily() as stack:
        file = stack.config.data / "timings"
        stack.start_worker("benchmarks.engine.timed_worker", str(file))
        waits = list(_waits(Easel(stack.url), _ROUNDS[quick] + 1))
        timings = [JobTiming.model_validate_json(line) for line in file.read_text().splitlines()]
    first, last = timings[0], timings[-1]
    if (first.styles_evaluated, first.evaluations_traced) != (last.styles_evaluated, last.evaluations_traced):
        raise AssertionError(f"The worker did not stay warm: {first}, then {last}.")
    overheads = [seconds - timing.first_seconds for seconds, timing in zip(waits, timings, strict=True)]
    return figure(overheads[1:])


def _waits(easel: Easel, jobs: int) -> Iterator[float]:
    """Yield the seconds until each job's first progress event. Each job ends before the next one starts."""
    workload = Workload(_WIDTH, best_weights())
    content, style = png(workload.content), png(workload.style)
    for _ in range(jobs):
        began = time.perf_counter()
        job = easel.submit(content, style, _RECIPE)
        for event in job.events():
            if event.kind == "progress":
                yield time.perf_counter() - began
                break
        job.wait()
