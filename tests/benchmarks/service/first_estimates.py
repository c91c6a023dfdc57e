"""`python -m benchmarks.service.first_estimates`: the accuracy of ETAs when a worker has run few jobs.

Simulates one worker that sees image sizes for the first time. Before each job it asks the real forecast how long the
`default` recipe and a larger one will take, without processes or a clock. Prints the errors and the changes.
"""

import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from api.eta.forecast import Forecast
from easel.models import JobState, Progress
from shared.jobs.estimate import algorithm, pixel_evaluations
from shared.jobs.job import Job, JobRequest
from shared.jobs.run_history import RunRecord
from shared.ledger.queue_stats import WorkerInfo
from shared.presets import resolve
from shared.recipe import Recipe
from shared.settings import Settings

_SEEDS: Final = 60
_JOBS: Final = 13
_SHAPE: Final = (451, 300)
_QUESTIONS: Final = tuple(resolve(fields) for fields in ({"preset": "default"}, {"preset": "default", "size": 512}))
_RECIPES: Final[tuple[dict[str, Any], ...]] = (
    {"preset": "fast"},
    {"preset": "fast", "size": 128},
    *({"preset": "default", "size": s} for s in (320, 384, 512)),
)
_STEP_SECONDS, _SECONDS_PER_PIXEL = 0.04, 3.6e-6  # measured on two cores with L-BFGS
_PROCESS_SECONDS, _TRACE_SECONDS = 8.0, 4.5  # for a fresh process, and for each new size
_JOB_NOISE = 0.15  # standard deviation of the logarithm


class Estimate(NamedTuple):
    """One estimate and the actual time, in seconds."""

    question: int  # index in _QUESTIONS
    ended_jobs: int
    p50: float
    p90: float
    actual: float


def main() -> None:
    """Print the table."""
    workers = [list(_simulate(np.random.default_rng(seed))) for seed in range(_SEEDS)]
    table = Table("jobs before", "bias", "root mean square", "within the p90")
    for ended_jobs in range(_JOBS):
        now = [estimate for estimates in workers for estimate in estimates if estimate.ended_jobs == ended_jobs]
        errors = np.array([math.log(estimate.p50 / estimate.actual) for estimate in now])
        rms, coverage = np.sqrt(np.mean(errors**2)), np.mean([estimate.actual <= estimate.p90 for estimate in now])
        table.add_row(str(ended_jobs), f"{np.median(errors):.2f}", f"{rms:.2f}", f"{coverage:.0%}")
    Console().print(table)
    pairs = [pair for estimates in workers for pair in _pairs(estimates) if pair[0].ended_jobs]
    changes = [abs(math.log(later.p90 / earlier.p90)) for earlier, later in pairs]
    Console().print(
        f"One more job changes a p90 by {np.median(changes):.0%} (median) and {np.quantile(changes, 0.9):.0%} (p90)."
    )


def _simulate(random: np.random.Generator) -> Iterator[Estimate]:
    """Yield the estimates while one worker runs its first jobs."""
    known_sizes: set[int] = set()
    records: list[RunRecord] = []
    for ended_jobs in range(_JOBS):
        for question, recipe in enumerate(_QUESTIONS):
            p50, p90 = _estimate(recipe, records)
            record = _run(random, recipe, set(known_sizes))
            actual = record.start_seconds + pixel_evaluations(recipe, *_SHAPE) / record.pixels_per_second
            yield Estimate(question, ended_jobs, p50, p90, actual)
        recipe = resolve(_RECIPES[int(random.integers(len(_RECIPES)))] if ended_jobs else _RECIPES[0])
        records.insert(0, _run(random, recipe, known_sizes))


def _run(random: np.random.Generator, recipe: Recipe, known_sizes: set[int]) -> RunRecord:
    """Return the record of a simulated job, and add its sizes to `known_sizes`."""
    sizes = {longest for longest, _ in recipe.schedule()}
    start = (0.3 if known_sizes else _PROCESS_SECONDS) + _TRACE_SECONDS * len(sizes - known_sizes)
    known_sizes |= sizes
    work = pixel_evaluations(recipe, *_SHAPE)
    seconds = _STEP_SECONDS * recipe.total_steps + _SECONDS_PER_PIXEL * work
    return RunRecord(
        device="cpu:2",
        algorithm=algorithm(recipe),
        pixels=work / recipe.total_steps,
        pixels_per_second=work / seconds / random.lognormal(0, _JOB_NOISE),
        start_seconds=start,
        end_seconds=0.03,
        fraction=1,
        drift=None,
    )


def _estimate(recipe: Recipe, records: list[RunRecord]) -> tuple[float, float]:
    """Return p50 and p90 in seconds."""
    names = {"id": "x", "tier": "standard", "content": "c", "digest": "d"}
    request = JobRequest(**names, recipe=recipe, styles=(), width=_SHAPE[0], height=_SHAPE[1], created_at=0)
    job = Job(id="x", state=JobState.QUEUED, request=request, order=0, progress=Progress(total=recipe.total_steps))
    worker = WorkerInfo(name="a", device="cpu:2", weights="w", tiers=("standard",), seen_at=0)
    eta = Forecast([job], [worker], Settings(), records).eta(job, None)
    assert eta  # a worker is registered
    return eta.p50, eta.p90


def _pairs(estimates: list[Estimate]) -> Iterator[tuple[Estimate, Estimate]]:
    """Return the estimates for the same question before and after one more job."""
    return zip(estimates, estimates[len(_QUESTIONS) :], strict=False)


if __name__ == "__main__":
    main()
