"""The forecast: when each job will end, from a snapshot of the queue, the workers and the run history."""

import math
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Self

from api.eta.simulation import Duration, RemainingWork, simulate
from api.eta.speed_model import Z90, SpeedModel
from easel.models import TERMINAL, DurationRange, JobState
from shared.jobs.estimate import algorithm, cost, pixel_evaluations
from shared.jobs.job import Job, JobRequest
from shared.jobs.run_history import RunRecord
from shared.ledger.queue_stats import STARTING, WorkerInfo
from shared.presets import PRESETS
from shared.services import Services
from shared.settings import Settings

MAX_QUEUED: Final = 200
"""Queued jobs in a simulation. If more are queued, only running jobs get an estimate."""
_MAX_NEW: Final = 10  # jobs newer than a forecast that it estimates: each takes a simulation
_MIN_SECONDS: Final = 0.05  # remaining, for any job
_MAX_DONE: Final = 0.99  # keeps the remaining share above 0


class Forecast:
    """A simulation of the jobs and workers of one moment, at speeds predicted from the run history."""

    def __init__(
        self,
        jobs: list[Job],
        workers: list[WorkerInfo],
        settings: Settings,
        runs: Sequence[RunRecord] = (),
        *,
        overloaded: bool = False,
    ) -> None:
        """`runs` are ordered newest first. If `overloaded`, queued jobs are left out and have no estimate."""
        self._created = time.monotonic()
        self._report_age = settings.heartbeat_seconds / 2  # mean age of what a worker reported
        self._slice_seconds, self._overloaded, self._model = settings.slice_seconds, overloaded, _model(tuple(runs))
        running = [job for job in jobs if job.state is JobState.RUNNING]
        self._workers = _holders_first(running, workers, runs)
        self._running = [self._remaining_work(job) for job in running]
        self._queues: dict[str, list[RemainingWork]] = {tier: [] for tier in settings.tiers}
        queued = [job for job in jobs if job.state is JobState.QUEUED and not (job.waiting_for or overloaded)]
        for job in sorted(queued, key=lambda job: (job.order, job.id)):
            self._queues.setdefault(job.request.tier, []).append(self._remaining_work(job))
        self._ends = self._simulate(self._queues)
        self._new: dict[str, DurationRange | None] = {}  # of jobs newer than the forecast

    @classmethod
    def current(cls, services: Services) -> Self:
        """Return a forecast from the current state of the ledger. Raises LedgerUnavailable."""
        running = services.ledger.list(state=JobState.RUNNING, limit=MAX_QUEUED)
        stats, tiers = services.queue_stats, services.settings.tiers
        queued = [job_id for tier in tiers for job_id in stats.next_job_ids(tier, MAX_QUEUED + 1)]
        overloaded = len(queued) > MAX_QUEUED
        jobs = [*running, *(() if overloaded else services.ledger.get_many(queued))]
        return cls(jobs, stats.workers(), services.settings, services.run_history.recent(), overloaded=overloaded)

    def eta(self, job: Job, position: int | None) -> DurationRange | None:
        """Return the time until this job ends, if it is not ended early; jobs before it are, as often as past jobs.

        `position` is its current one in the queue. None for a job that has ended, that waits for its images, that no
        worker serves, that is queued far back, or that is newer than the forecast and not among the first of those.
        """
        if job.id in self._ends and job.state not in TERMINAL:
            return _range(self._ends[job.id], self._age())
        if job.state is not JobState.QUEUED or job.waiting_for:
            return None
        known = len(self._queues.get(job.request.tier, ()))
        if job.id not in self._new and len(self._new) < _MAX_NEW and (position or 1) - 1 <= known:
            self._new[job.id] = self._eta_of_new(job)
        return self._new.get(job.id)

    def eta_if_submitted(self, job: Job) -> DurationRange | None:
        """As `eta`, for a job that is submitted now."""
        queue = self._queues.get(job.request.tier, ())
        now = min((work.job.order for work in queue), default=0)  # about where a tenant without jobs starts
        behind_others = any(work.job.tenant == job.tenant for work in queue)  # and starts where they end
        return self._eta_of_new(job.model_copy(update={"order": math.inf if behind_others else now}))

    def eta_of_default(self, tier: str, tenant: str) -> DurationRange | None:
        """Return the time until a job of the default recipe would end that this tenant submits now."""
        fields = {"id": "", "tier": tier, "tenant": tenant, "content": "", "styles": (), "width": 4, "height": 3}
        request = JobRequest.model_validate({**fields, "recipe": PRESETS["default"], "created_at": 0, "digest": ""})
        return self.eta_if_submitted(Job.new(request))

    def run_time(self, job: Job) -> DurationRange:
        """Return the job's time on any of the current workers, without waiting."""
        work = self._remaining_work(job)
        weights_seconds = min((worker.weights_seconds for worker in self._workers), default=0)
        return _range(work.seconds, -weights_seconds if job.request.recipe.steps else 0)

    def _eta_of_new(self, job: Job) -> DurationRange | None:
        work = self._remaining_work(job)
        tier = job.request.tier
        ends = {} if self._overloaded else self._simulate({**self._queues, tier: [*self._queues.get(tier, ()), work]})
        if job.id not in ends:
            return None
        end, shortest = ends[job.id], min(seconds.mean for seconds in work.by_device.values())
        return _range(end, min(self._age(), end.mean - shortest))  # of a worker that was idle before, too

    def _simulate(self, queues: dict[str, list[RemainingWork]]) -> dict[str, Duration]:
        return simulate(self._running, queues, self._workers, self._slice_seconds, self._model.mean_fraction)

    def _age(self) -> float:
        return time.monotonic() - self._created

    def _remaining_work(self, job: Job) -> RemainingWork:
        devices = {worker.device for worker in self._workers} or {"unknown"}
        remaining_cost = cost(job.request.recipe, *_size(job)) * (1 - job.progress.percentage / 100)
        return RemainingWork(job, {device: self._remaining_seconds(job, device) for device in devices}, remaining_cost)

    def _remaining_seconds(self, job: Job, device: str) -> Duration:
        recipe, done = job.request.recipe, min(job.progress.percentage / 100, _MAX_DONE)
        running, evaluations = job.state is JobState.RUNNING, pixel_evaluations(recipe, *_size(job))
        log_pace, sigma, start = self._model.predict(device, algorithm(recipe), evaluations / recipe.total_steps)
        log_seconds = log_pace + math.log(evaluations)
        if running and done and job.fraction_per_second:
            log_seconds, sigma = self._model.at_own_pace(log_seconds, sigma, -math.log(job.fraction_per_second), done)
            parts = len(recipe.schedule()) + (recipe.init == "patches")
            start *= (1 - done) * (1 - 1 / parts)  # of later stages
        elif running:
            start = max(start - job.run_seconds, 0)
        loop = (1 - done) * math.exp(log_seconds + sigma**2 / 2)  # mean and variance of a log-normal distribution
        seconds = start + loop - self._report_age * running
        return Duration(max(seconds, _MIN_SECONDS), math.expm1(sigma**2) * loop**2)


_model = lru_cache(maxsize=4)(SpeedModel)  # runs change only when a job ends, and forecasts are made every second


def _holders_first(running: list[Job], workers: Sequence[WorkerInfo], runs: Sequence[RunRecord]) -> list[WorkerInfo]:
    """Return the workers that hold the running jobs, in the jobs' order, then idle workers.

    A starting worker gets the device of the newest run, which is the most likely one.
    """
    if runs:
        assumed = {"device": runs[0].device}
        workers = [worker.model_copy(update=assumed) if worker.device == STARTING else worker for worker in workers]
    by_name = {worker.name: worker for worker in workers}
    busy = [by_name.pop(job.worker or "", workers[0]) for job in running if workers]
    return busy + list(by_name.values())[: max(0, len(workers) - len(running))]


def _size(job: Job) -> tuple[int, int]:
    return job.request.width or 1, job.request.height or 1


def _range(seconds: Duration, elapsed: float) -> DurationRange:
    """Return the quantiles of the log-normal distribution with this mean and variance (Fenton 1960)."""
    mean = max(seconds.mean - elapsed, _MIN_SECONDS)
    square = math.log1p(seconds.variance / mean**2)
    p50 = mean * math.exp(-square / 2)
    return DurationRange(p50=round(p50, 1), p90=round(p50 * math.exp(Z90 * math.sqrt(square)), 1))
