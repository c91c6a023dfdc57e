"""The accuracy of ETAs: estimates at a job's submission, at its start and halfway, compared with the actual time.

A hundred jobs of all sizes, steps and recipes are submitted in batches to workers with the uneven engine; some get a
finish request. Warm-up jobs run before them, because the forecast needs some history.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from statistics import mean, median
from typing import Any, Final

import httpx2
from chaos.clients.images import photo

from benchmarks.figure import Figure
from benchmarks.service.results import Chart, Measurement, Report
from benchmarks.stack import BenchmarkStack

_WORKERS: Final = 8
_WARM_UP_JOBS: Final = 24
_JOBS: Final = 100
_BATCH_SIZE: Final = 14  # at most
_SECONDS_PER_JOB: Final = 0.8  # from one batch to the next, about as long as the workers need
_FINISH_EARLY_SHARE: Final = 0.08  # of the jobs get a finish request after halfway
_POLL_SECONDS: Final = 0.1
_STAGES: Final = ("submitted", "started", "halfway")
_STALL_SECONDS: Final = 120.0


class _FrequentHeartbeats(BenchmarkStack):
    """Workers with five heartbeats a second, because jobs take a fortieth of the usual time."""

    def start(self) -> None:
        self._environment |= {"EASEL_HEARTBEAT_SECONDS": "0.2"}
        super().start()


@dataclass(frozen=True)
class Estimate:
    """One estimate and the actual time, in seconds."""

    p50: float
    p90: float
    actual: float

    @property
    def error(self) -> float:
        """The relative error of the p50."""
        return abs(self.p50 - self.actual) / self.actual


@dataclass
class _JobEstimates:
    """The estimates for one job."""

    finish_early: bool
    estimates: dict[str, tuple[float, dict[str, float]]] = field(default_factory=dict)  # by stage: when, and the ETA
    ended_at: float | None = None

    def record(self, stage: str, job: dict[str, Any]) -> bool:
        """Store the estimate for this stage; return whether it is the first."""
        if stage in self.estimates or not job["eta_seconds"]:
            return False
        self.estimates[stage] = time.time(), job["eta_seconds"]
        return True


def measure(report: Report, *, quick: bool) -> Measurement:  # noqa: ARG001 - all benchmarks have it
    """Measure as a client, through the API."""
    with (
        _FrequentHeartbeats.run_temporarily() as stack,
        httpx2.Client(base_url="http://{}:{}".format(*stack.address), timeout=30) as api,
    ):
        report(f"starting {_WORKERS} uneven workers")
        stack.start_simulated_workers(_WORKERS, "uneven")
        jobs = list(_run_jobs(api, _WARM_UP_JOBS + _JOBS, report).values())[_WARM_UP_JOBS:]
    estimates = {stage: list(_pairs(jobs, stage)) for stage in _STAGES}
    return summarize(estimates)


def summarize(estimates: dict[str, list[Estimate]]) -> Measurement:
    """Return the figures over all estimates, with the lowest and highest value of a single stage."""
    p50 = _over_stages(estimates, lambda group: mean(estimate.actual <= estimate.p50 for estimate in group))
    p90 = _over_stages(estimates, lambda group: mean(estimate.actual <= estimate.p90 for estimate in group))
    error = _over_stages(estimates, lambda group: median(estimate.error for estimate in group))
    curves = {
        f"when {stage}": {
            50: 100 * mean(estimate.actual <= estimate.p50 for estimate in group),
            90: 100 * mean(estimate.actual <= estimate.p90 for estimate in group),
        }
        for stage, group in estimates.items()
    }
    chart = Chart(
        name="estimates",
        title="jobs that ended within the estimate",
        work="p, of the estimate",
        unit="%",
        curves=curves,
        log_scale=False,
        target="50 and 90",
        bound={50: 50, 90: 90},
    )
    return Measurement({"eta_p90_coverage": p90, "eta_p50_coverage": p50, "eta_p50_error": error}, [chart])


def _over_stages(estimates: dict[str, list[Estimate]], statistic: Callable[[Sequence[Estimate]], float]) -> Figure:
    each = [statistic(group) for group in estimates.values()]
    return Figure(statistic([estimate for group in estimates.values() for estimate in group]), min(each), max(each))


def _pairs(jobs: Sequence[_JobEstimates], stage: str) -> Iterator[Estimate]:
    for job_estimates in jobs:
        if stage in job_estimates.estimates and job_estimates.ended_at:
            estimated_at, eta = job_estimates.estimates[stage]
            yield Estimate(eta["p50"], eta["p90"], job_estimates.ended_at - estimated_at)


def _run_jobs(api: httpx2.Client, count: int, report: Report) -> dict[str, _JobEstimates]:
    """Submit random batches and poll until every job has ended. Raises RuntimeError if no job ends for long."""
    random, jobs, next_batch_at = Random(5), dict[str, _JobEstimates](), 0.0  # noqa: S311 - not used for secrets
    last_end_at = time.monotonic()
    while len(jobs) < count or not all(job_estimates.ended_at for job_estimates in jobs.values()):
        if len(jobs) < count and time.monotonic() >= next_batch_at:
            size = min(random.randint(1, _BATCH_SIZE), count - len(jobs))
            next_batch_at = time.monotonic() + size * _SECONDS_PER_JOB
            for _ in range(size):
                _submit(api, random, jobs)
        if _poll(api, jobs):
            last_end_at = time.monotonic()
        if time.monotonic() - last_end_at > _STALL_SECONDS:
            raise RuntimeError("The workers are stuck.")
        ended = sum(job_estimates.ended_at is not None for job_estimates in jobs.values())
        report(f"{ended} of {count} jobs have ended")
        time.sleep(_POLL_SECONDS)
    return jobs


def _submit(api: httpx2.Client, random: Random, jobs: dict[str, _JobEstimates]) -> None:
    recipe = {
        "preset": random.choice(["fast", "default", "tutorial"]),
        "size": random.randrange(96, 321, 32),
        "steps": random.randint(50, 180),
        "seed": random.randrange(1 << 24),
    }
    files = {"content": ("a.png", photo(0)), "style": ("b.png", photo(1))}
    job = api.post("/v1/jobs", files=files, data={"recipe": json.dumps(recipe)}).raise_for_status().json()
    jobs[job["id"]] = job_estimates = _JobEstimates(finish_early=random.random() < _FINISH_EARLY_SHARE)
    job_estimates.record("submitted", job)


def _poll(api: httpx2.Client, jobs: dict[str, _JobEstimates]) -> int:
    """Record each job's estimates; return how many jobs have ended since the last poll."""
    ended = 0
    for job in api.get("/v1/jobs", params={"limit": 100}).raise_for_status().json()["jobs"]:
        job_estimates = jobs[job["id"]]
        if job["completed_at"] and not job_estimates.ended_at:
            job_estimates.ended_at = datetime.fromisoformat(job["completed_at"]).timestamp()
            ended += 1
        if job["state"] == "running":
            job_estimates.record("started", job)
            halfway = job["progress"]["percentage"] >= 50 and job_estimates.record("halfway", job)
            if halfway and job_estimates.finish_early:
                api.post(job["urls"]["finish"])
    return ended
