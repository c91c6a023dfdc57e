"""Calibration: estimates for a simulated service with four workers, compared with the simulated outcome."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from api.eta.forecast import DurationRange, Forecast
from easel.models import JobState, Progress
from shared.jobs.estimate import algorithm, pixel_evaluations
from shared.jobs.job import Job, JobRequest
from shared.jobs.run_history import MAX_RECORDS, RunRecord
from shared.ledger.queue_stats import WorkerInfo
from shared.presets import resolve
from shared.recipe import Recipe
from shared.settings import Settings

SETTINGS = Settings(tiers=("standard",), slice_seconds=1e6, heartbeat_seconds=0.001)
WORKERS = [WorkerInfo(name=name, device="cpu", weights="w", tiers=("standard",), seen_at=0) for name in "abcd"]
LOT, LOTS, LOTS_BEFORE = 6, 40, 8


@dataclass
class SimulatedJob:
    """The course of one job, in seconds; `halves` are the times in the loop of its two halves."""

    number: int
    recipe: Recipe
    start: float
    halves: tuple[float, float]
    submitted: float = 0.0
    claimed: float = 0.0
    worker: str = ""

    @property
    def half_way(self) -> float:
        return self.claimed + self.start + self.halves[0]

    @property
    def end(self) -> float:
        return self.half_way + self.halves[1]

    def run_record(self) -> RunRecord:
        arithmetic = pixel_evaluations(self.recipe, 4, 3)
        return RunRecord(
            device="cpu",
            algorithm=algorithm(self.recipe),
            pixels=arithmetic / self.recipe.total_steps,
            pixels_per_second=arithmetic / sum(self.halves),
            start_seconds=self.start,
            end_seconds=0,
            fraction=1,
            drift=math.log(self.halves[0] / self.halves[1]),
        )

    def record(self, now: float) -> Job:
        """Return the job's record at this time."""
        request = JobRequest(
            id=str(self.number),
            tier="standard",
            recipe=self.recipe,
            content="c",
            styles=(),
            width=4,
            height=3,
            created_at=0,
            digest="d",
        )
        progress = Progress(total=self.recipe.steps, percentage=100 * self._done(now))
        job = Job(id=request.id, state=JobState.QUEUED, request=request, order=self.number, progress=progress)
        if now < self.claimed:
            return job
        loop = now - self.claimed - self.start
        pace = progress.percentage / 100 / loop if loop > 0 else None
        running = {
            "state": JobState.RUNNING,
            "worker": self.worker,
            "run_seconds": now - self.claimed,
            "fraction_per_second": pace,
        }
        return job.model_copy(update=running)

    def _done(self, now: float) -> float:
        elapsed = max(0.0, now - self.claimed - self.start)
        first, second = self.halves
        return min(elapsed / first, 1) / 2 + max(0.0, elapsed - first) / second / 2


@pytest.fixture(scope="module")
def jobs() -> list[SimulatedJob]:
    """Return all jobs of the simulation, each run by the worker that is free first."""
    random = np.random.default_rng(2)
    free_at = dict.fromkeys("abcd", 0.0)
    jobs = [_simulated_job(random, number) for number in range(LOT * LOTS)]
    for job in jobs:
        job.submitted = 125.0 * (job.number // LOT)
        job.worker = min(free_at, key=lambda worker: free_at[worker])
        job.claimed = max(job.submitted, free_at[job.worker])
        free_at[job.worker] = job.end
    return jobs


def _simulated_job(random: np.random.Generator, number: int) -> SimulatedJob:
    optimizer = {"kind": str(random.choice(["adam", "lbfgs"]))}
    size, steps = int(random.choice([96, 128, 192, 256])), int(random.integers(50, 200))
    recipe = resolve({"preset": "tutorial", "size": size, "steps": steps, "optimizer": optimizer})
    seconds = steps * (0.2 + size**2 / 1e5) * (1.15 if optimizer["kind"] == "lbfgs" else 1) * random.lognormal(0, 0.2)
    first, second = (seconds / 2 * random.lognormal(0, 0.05) for _ in range(2))
    return SimulatedJob(number, recipe, 5 * random.lognormal(0, 0.4), (first, second))


def _estimate(jobs: list[SimulatedJob], job: SimulatedJob, now: float) -> DurationRange:
    submitted = [other for other in jobs if other.submitted <= now]
    ended = sorted((other for other in submitted if other.end <= now), key=lambda other: -other.end)[:MAX_RECORDS]
    records = [other.record(now) for other in submitted if other.end > now]
    eta = Forecast(records, WORKERS, SETTINGS, [other.run_record() for other in ended]).eta(job.record(now), None)
    assert eta is not None
    return eta


@pytest.mark.parametrize("moment", ["submitted", "claimed", "half_way"])
def test_p50_covers_half_of_the_jobs_and_p90_nine_in_ten(jobs: list[SimulatedJob], moment: str) -> None:
    moments = [(job, getattr(job, moment)) for job in jobs[LOT * LOTS_BEFORE :]]
    pairs = [(_estimate(jobs, job, now), job.end - now) for job, now in moments]
    assert 0.4 <= np.mean([actual <= eta.p50 for eta, actual in pairs]) <= 0.6
    assert 0.85 <= np.mean([actual <= eta.p90 for eta, actual in pairs]) <= 0.95


def test_the_spread_shrinks_as_a_job_progresses(jobs: list[SimulatedJob]) -> None:
    moments = ("submitted", "claimed", "half_way")
    estimates = [[_estimate(jobs, job, getattr(job, moment)) for job in jobs[-60:]] for moment in moments]
    spreads = [np.mean([eta.p90 - eta.p50 for eta in etas]) for etas in estimates]
    assert all(earlier > later for earlier, later in pairwise(spreads))
