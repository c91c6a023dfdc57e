"""Throughput of simulated workers: the cost of queue, store, heartbeats and checkpoints with many workers.

Every worker repeats one round: claim, 100 steps of 0.1 s, publish. With W busy workers, a round takes from one claim
to the W-th claim after it, and the throughput is W divided by the mean of that. The last jobs do not distort it.
"""

import time
from statistics import mean
from typing import Any, Final

from chaos.clients.images import photo

from benchmarks.figure import figure
from benchmarks.service.results import Chart, Measurement, Report
from benchmarks.stack import BenchmarkStack
from shared.presets import resolve

_WORKER_COUNTS: Final = (1, 8, 64)
_STEPS: Final = 100
_WARM_UP_STEPS: Final = 5
_ROUND_SECONDS: Final = 60.0  # the timeout
_TARGET: Final = 0.95


def measure(report: Report, *, quick: bool) -> Measurement:
    """Measure each number of workers; their n-th round is compared with the n-th round of a single worker."""
    taken = {workers: _rounds(workers, 1 if quick else 5, report) for workers in _WORKER_COUNTS}
    alone = taken[1]
    ratios = {
        workers: [one / many for one, many in zip(alone, taken[workers], strict=True)] for workers in _WORKER_COUNTS[1:]
    }
    throughput = {workers: 60 * workers / mean(rounds) for workers, rounds in taken.items()}
    chart = Chart(
        name="scaling",
        title="throughput of simulated workers",
        work="workers",
        unit="jobs a minute",
        curves={"measured": throughput},
        target="at least 0.95 of linear",
        bound={workers: _TARGET * 60 * workers / mean(alone) for workers in _WORKER_COUNTS},
    )
    return Measurement({f"scaling_{workers}": figure(readings) for workers, readings in ratios.items()}, [chart])


def _rounds(workers: int, count: int, report: Report) -> list[float]:
    """Return the seconds of each round, the mean of all workers, when they are spread evenly over a round."""
    with BenchmarkStack.run_temporarily() as stack:
        report(f"starting {workers} workers" if workers > 1 else "starting a worker")
        stack.start_simulated_workers(workers)
        for number in range(workers):
            _submit(stack, steps=_WARM_UP_STEPS + _STEPS * number // workers)
        ids = [_submit(stack, steps=_STEPS) for _ in range(workers * (count + 1))]
        for number in range(count + 1):
            report(f"round {number} of {count} with {workers} worker(s)")
            _wait_for_claim(stack, ids[workers * (number + 1) - 1])
        return round_times(_claims(stack, ids), workers)


def _claims(stack: BenchmarkStack, ids: list[str]) -> list[float]:
    """Return when each job was claimed first, by Redis' clock."""
    times = [stack.services.ledger.get(job_id).started_at for job_id in ids]
    return sorted(time for time in times if time is not None)


def round_times(claims: list[float], workers: int) -> list[float]:
    """Return for each group of `workers` claims the mean time to the claim one round later."""
    gaps = [later - earlier for earlier, later in zip(claims, claims[workers:], strict=False)]
    return [mean(gaps[start : start + workers]) for start in range(0, len(gaps) - workers + 1, workers)]


def _submit(stack: BenchmarkStack, **recipe: Any) -> str:
    return stack.submit(photo(0), photo(1), resolve({"preset": "fast", "size": 64, **recipe}))


def _wait_for_claim(stack: BenchmarkStack, job_id: str) -> None:
    deadline = time.monotonic() + _ROUND_SECONDS
    while stack.services.ledger.get(job_id).started_at is None:
        stack.check()
        if time.monotonic() > deadline:
            raise RuntimeError("The workers are stuck; this machine may be too small for so many.")
        time.sleep(0.1)
