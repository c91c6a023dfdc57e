"""The forecast: when each job will end, from a snapshot of the queue, the workers and the run history."""

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final, Self

import numpy as np

from api.eta.simulation import FUTURES, RemainingWork, Slot, simulate
from api.eta.speed_model import SAMPLES, Samples, SpeedModel, assumed_run
from easel.models import TERMINAL, DurationRange, JobState
from shared.jobs.estimate import algorithm, cost, pixel_evaluations
from shared.jobs.job import Job, JobRequest
from shared.jobs.run_history import RunRecord
from shared.ledger.queue_stats import STARTING, WorkerInfo
from shared.presets import PRESETS
from shared.recipe import Recipe
from shared.services import Services
from shared.settings import Settings

MAX_QUEUED: Final = 200
"""Queued jobs in a simulation. If more are queued, only running jobs get an estimate."""
_MIN_SECONDS: Final = 0.05  # remaining, for any job
_MAX_DONE: Final = 0.99  # keeps the remaining share above 0
_ROUNDING: Final = 1e-4  # of a job's arithmetic: workers report hundredths of a percent


class Forecast:
    """A simulation of the jobs and workers of one moment, with speeds drawn from the run history."""

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
        self._random = np.random.default_rng(0)
        self._report_age = settings.heartbeat_seconds / 2  # mean age of what a worker reported
        self._slice_seconds, self._overloaded = settings.slice_seconds, overloaded
        running = [job for job in jobs if job.state is JobState.RUNNING]
        workers = _holders_first(running, [_with_assumed_device(worker, runs) for worker in workers])
        self._model = _speed_model((*runs, *_announced_speeds(workers, runs)))
        self._devices = sorted({worker.device for worker in workers}) or ["unknown"]
        self._workers = [self._devices.index(worker.device) for worker in workers]
        self._weights_seconds = [worker.weights_seconds for worker in workers]
        self._queues: dict[str, list[RemainingWork]] = {} if overloaded else {tier: [] for tier in settings.tiers}
        queued = [job for job in jobs if job.state is JobState.QUEUED and not (job.waiting_for or overloaded)]
        for job in sorted(queued, key=lambda job: (job.order, job.id)):
            self._queues.setdefault(job.request.tier, []).append(self._remaining_work(job))
        self._running = [self._remaining_work(job) for job in running]
        self._ends, self._next_slots = self._simulate(self._queues)

    @classmethod
    def current(cls, services: Services) -> Self:
        """Return a forecast from the current state of the ledger. Raises LedgerUnavailable."""
        running = services.ledger.list(state=JobState.RUNNING, limit=MAX_QUEUED)
        stats, tiers = services.queue_stats, services.settings.tiers
        queued = [job_id for tier in tiers for job_id in stats.next_job_ids(tier, MAX_QUEUED + 1)]
        overloaded = len(queued) > MAX_QUEUED
        jobs = [*running, *(() if overloaded else services.ledger.get_many(queued))]
        workers, runs = services.queue_stats.workers(), services.run_history.recent()
        return cls(jobs, workers, services.settings, runs, overloaded=overloaded)

    def eta(self, job: Job, position: int | None) -> DurationRange | None:
        """Return the time until this job ends, if it is not ended early; jobs before it are, as often as past jobs.

        `position` is its current one in the queue. A queued job that is newer than the forecast starts at the end of
        its tier's queue, which may be too late if its tenant has few jobs. None for a job that has ended, that waits
        for its images, that no worker serves, that is queued far back, or that is newer than the forecast and either
        behind other such jobs or longer than EASEL_SLICE_SECONDS: its time slices depend on the other jobs.
        """
        if job.id in self._ends and job.state not in TERMINAL:
            return _range(self._ends[job.id] - self._age())
        slot = self._next_slots.get(job.request.tier)
        known = len(self._queues.get(job.request.tier, []))
        if slot is None or job.state is not JobState.QUEUED or job.waiting_for or (position or 1) - 1 > known:
            return None
        work = self._remaining_work(job)
        return self._eta_at(slot, work) if work.median <= self._slice_seconds else None

    def eta_if_submitted(self, job: Job) -> DurationRange | None:
        """As `eta`, for a job of any length that is submitted now. Repeats the simulation, but reads no records."""
        if self._overloaded:
            return None
        queue = self._queues.get(job.request.tier, [])
        now = min((work.start_tag for work in queue), default=0)  # about where a tenant without jobs starts
        work = self._remaining_work(job.model_copy(update={"order": now}))
        ends, _ = self._simulate(self._queues | {work.tier: [*queue, work]})
        if work.job_id not in ends:
            return None
        idle = work.to_end.min(axis=0)  # of a worker that was idle before, too
        return _range(np.maximum(ends[work.job_id] - self._age(), idle))

    def eta_of_default(self, tier: str) -> DurationRange | None:
        """Return the time until a job of the default recipe would end that is submitted now and runs in one piece.

        If several tenants have queued jobs, this is the latest: that of a job behind all of them.
        """
        slot = self._next_slots.get(tier)
        return self._eta_at(slot, self._remaining_work(_default_job(tier))) if slot else None

    def run_time(self, job: Job) -> DurationRange:
        """Return the job's time on one of the current workers, without waiting."""
        work = self._remaining_work(job)
        return _range(work.needs_weights * min(self._weights_seconds, default=0) + work.to_end)

    def _simulate(self, queues: Mapping[str, Sequence[RemainingWork]]) -> tuple[dict[str, Samples], dict[str, Slot]]:
        if not self._workers:
            return {}, {}
        return simulate(self._running, queues, self._workers, self._weights_seconds, self._slice_seconds)

    def _eta_at(self, slot: Slot, work: RemainingWork) -> DurationRange:
        start = np.maximum(slot.start - self._age(), 0) + work.needs_weights * slot.weights_seconds
        return _range(start + work.to_end[slot.device, FUTURES])

    def _age(self) -> float:
        return time.monotonic() - self._created

    def _remaining_work(self, job: Job) -> RemainingWork:
        seconds = [self._remaining_seconds(job, device) for device in self._devices]
        to_end, to_release = (np.maximum(rows, _MIN_SECONDS) for rows in zip(*seconds, strict=True))
        return RemainingWork(
            job.id,
            job.request.tier,
            to_end,
            to_release,
            needs_weights=job.request.recipe.steps > 0,
            tenant=job.tenant,
            start_tag=job.order,
            cost=cost(job.request.recipe, *_size(job)) * (1 - job.progress.percentage / 100),
        )

    def _remaining_seconds(self, job: Job, device: str) -> tuple[Samples, Samples]:
        """Return the seconds on this device until the job is complete, and until it ends, perhaps early."""
        recipe, done = job.request.recipe, min(job.progress.percentage / 100, _MAX_DONE)
        running, evaluations = job.state is JobState.RUNNING, pixel_evaluations(recipe, *_size(job))
        samples = self._model.samples(device, algorithm(recipe), evaluations / recipe.total_steps)
        pace, start, end, fraction = samples[:, self._random.permutation(SAMPLES)]  # jobs are independent of each other
        loop, (begun, parts) = pace * evaluations, _parts_begun(recipe, done)
        elapsed = job.run_seconds if running and not done else 0.0
        if running and done and job.fraction_per_second:
            loop = self._model.at_own_pace(loop, 1 / job.fraction_per_second, done, self._random)
        else:
            begun -= 1  # the first part is being started
        rest = np.maximum(start * (parts - begun) / parts - elapsed, 0) + end - self._report_age * running
        return rest + (1 - done) * loop, rest + (np.where(fraction > done, fraction, 1) - done) * loop


@lru_cache(maxsize=4)
def _speed_model(runs: tuple[RunRecord, ...]) -> SpeedModel:
    """Cached, since runs change only when a job ends, and forecasts are made every second."""
    return SpeedModel(runs)


def _with_assumed_device(worker: WorkerInfo, runs: Sequence[RunRecord]) -> WorkerInfo:
    """Return a starting worker with the device of the newest run, which is the most likely one."""
    starting = worker.device == STARTING and runs
    return worker.model_copy(update={"device": runs[0].device}) if starting else worker


def _announced_speeds(workers: list[WorkerInfo], runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the speed that workers announce for each device without runs; once, as several may repeat one job."""
    speeds = {worker.device: worker.pixels_per_second for worker in workers if worker.pixels_per_second}
    known = {run.device for run in runs}
    return [assumed_run(device, speed) for device, speed in speeds.items() if device not in known]


def _holders_first(running: list[Job], workers: list[WorkerInfo]) -> list[WorkerInfo]:
    """Return the workers that hold the running jobs, in the jobs' order, then idle workers."""
    if not workers:
        return []
    by_name = {worker.name: worker for worker in workers}
    busy = [by_name.get(job.worker or "", workers[0]) for job in running]
    idle = [worker for worker in workers if worker.name not in {job.worker for job in running}]
    return busy + idle[: max(0, len(workers) - len(running))]


def _default_job(tier: str) -> Job:
    fields = {"id": "", "tier": tier, "content": "", "styles": (), "width": 4, "height": 3, "created_at": 0}
    return Job.new(JobRequest.model_validate({**fields, "recipe": PRESETS["default"], "digest": ""}))


def _size(job: Job) -> tuple[int, int]:
    return job.request.width or 1, job.request.height or 1


def _parts_begun(recipe: Recipe, done: float) -> tuple[int, int]:
    """Return how many parts of a run have begun with `done` of its arithmetic reported, and how many there are.

    The parts are patch matching, if there is any, and each stage; the aspect ratio is left out. A stage does not count
    if the job is exactly at its beginning: its tracing is under way.
    """
    patches = sum(iteration.pixel_evaluations(iteration.longest_side**2) for iteration in recipe.patch_iterations())
    work = [part for part in (patches, *(longest**2 * steps for longest, steps in recipe.schedule())) if part]
    *begins, whole = accumulate(work)
    return 1 + sum(begin / whole < done - _ROUNDING for begin in begins), len(work)


def _range(seconds: Samples) -> DurationRange:
    p50, p90 = np.quantile(seconds, (0.5, 0.9))
    return DurationRange(p50=round(max(0.0, p50), 1), p90=round(max(0.0, p90), 1))
