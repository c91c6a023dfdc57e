"""The forecast: when each job will end, from a snapshot of the queue, the workers and the run history."""

import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import accumulate
from typing import Final, Self

import numpy as np

from api.eta.fair_queue import RemainingWork
from api.eta.simulation import SimulationResult, Slot, simulate
from api.eta.speed_model import SAMPLES, Samples, SpeedModel
from easel.models import TERMINAL, DurationRange, JobState
from shared.jobs.estimate import START_SECONDS, algorithm, cost, pixel_evaluations
from shared.jobs.job import Job, JobRequest
from shared.jobs.run_history import RunRecord
from shared.ledger.queue_stats import STARTING, WorkerInfo
from shared.presets import PRESETS
from shared.recipe import Recipe
from shared.services import Services
from shared.settings import Settings

MAX_QUEUED: Final = 200
"""Queued jobs in a simulation. If more are queued, only running jobs get an estimate."""
_UNKNOWN_DEVICE: Final = "unknown"
_MIN_SECONDS: Final = 0.05  # remaining, for any job
_MAX_DONE: Final = 0.99  # keeps the remaining share above 0
_ROUNDING: Final = 1e-4  # of a job's arithmetic: workers report hundredths of a percent
_MEASURED_PIXELS: Final = 256 * 192  # assumed for the job on which a worker measured the speed that it announces
_QUANTILES: Final = (0.5, 0.9)
_SAMPLE_INDICES: Final = np.arange(SAMPLES)


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
        workers = [_with_assumed_device(worker, runs) for worker in workers]
        self._model = _speed_model((*runs, *_announced_speeds(workers, {run.device for run in runs})))
        self._devices = sorted({worker.device for worker in workers}) or [_UNKNOWN_DEVICE]
        self._slice_seconds, self._overloaded = settings.slice_seconds, overloaded
        self._queues: dict[str, list[RemainingWork]] = {} if overloaded else {tier: [] for tier in settings.tiers}
        for job in () if overloaded else sorted(_in_state(JobState.QUEUED, jobs), key=lambda job: (job.order, job.id)):
            self._queues.setdefault(job.request.tier, []).append(self._remaining_work(job))
        running = _in_state(JobState.RUNNING, jobs)
        self._running = [self._remaining_work(job) for job in running]
        workers = _holders_first(running, workers)
        self._workers = [self._devices.index(worker.device) for worker in workers]
        self._weights_seconds = [worker.weights_seconds for worker in workers]
        result = self._simulate(self._queues)
        self._ends, self._next_slots = _quantiles(result.ends), result.next_slots

    @classmethod
    def current(cls, services: Services) -> Self:
        """Return a forecast from the current state of the ledger. Raises LedgerUnavailable."""
        running = services.ledger.list(state=JobState.RUNNING, limit=MAX_QUEUED)
        queued = services.ledger.list_ids(state=JobState.QUEUED, limit=MAX_QUEUED + 1)
        overloaded = len(queued) > MAX_QUEUED
        jobs = [*running, *(() if overloaded else services.ledger.get_many(queued))]
        workers, runs = services.queue_stats.workers(), services.run_history.recent()
        return cls(jobs, workers, services.settings, runs, overloaded=overloaded)

    def eta(self, job: Job, position: int | None) -> DurationRange | None:
        """Return the time until this job ends, if it is not ended early; jobs before it are, as often as past jobs.

        `position` is its current one in the queue. A queued job that is newer than the forecast starts at the end of
        its tier's queue, which may be too late if its tenant has few jobs. None for a job that has ended, that no
        worker serves, that is queued far back, or that is newer than the forecast and either behind other such jobs or
        longer than EASEL_SLICE_SECONDS: its time slices depend on the other jobs.
        """
        if job.id in self._ends and job.state not in TERMINAL:
            p50, p90 = self._ends[job.id]
            return _eta(p50 - self._age(), p90 - self._age())
        slot = self._next_slots.get(job.request.tier)
        known = len(self._queues.get(job.request.tier, []))
        if slot is None or job.state is not JobState.QUEUED or (position or 1) - 1 > known:
            return None
        work = self._remaining_work(job)
        return self._eta_at(slot, work) if work.median <= self._slice_seconds else None

    def eta_if_submitted(self, job: Job) -> DurationRange | None:
        """As `eta`, for a job of any length that is submitted now. Repeats the simulation, but reads no records."""
        if self._overloaded:
            return None
        queue = self._queues.get(job.request.tier, [])
        now = min(
            (work.start_tag for work in queue), default=0
        )  # about virtual time; where a tenant without jobs starts
        work = self._remaining_work(job.model_copy(update={"order": now}))
        queues = self._queues | {work.tier: [*queue, work]}
        ends = self._simulate(queues).ends.get(work.job_id)
        if ends is None:
            return None
        seconds = np.maximum(ends - self._age(), work.to_end.min(axis=0))  # an idle worker was idle in the past, too
        return _eta(*np.quantile(seconds, _QUANTILES).tolist())

    def eta_of_default(self, tier: str) -> DurationRange | None:
        """Return the time until a job of the default recipe would end that is submitted now and runs in one piece.

        If several tenants have queued jobs, this is the latest: that of a job behind all of them.
        """
        slot = self._next_slots.get(tier)
        return self._eta_at(slot, self._remaining_work(_default_job(tier))) if slot else None

    def run_time(self, job: Job) -> DurationRange:
        """Return the job's time on one of the current workers, without waiting."""
        work = self._remaining_work(job)
        learning = min(self._weights_seconds, default=0) if work.needs_weights else 0
        return _eta(*np.quantile(learning + work.to_end, _QUANTILES).tolist())

    def _simulate(self, queues: Mapping[str, Sequence[RemainingWork]]) -> SimulationResult:
        if not self._workers:
            return SimulationResult({}, {})
        return simulate(self._running, queues, self._workers, self._weights_seconds, self._slice_seconds)

    def _eta_at(self, slot: Slot, work: RemainingWork) -> DurationRange:
        start = np.maximum(slot.start - self._age(), 0) + work.needs_weights * slot.weights_seconds
        return _eta(*np.quantile(start + work.to_end[slot.device, _SAMPLE_INDICES], _QUANTILES).tolist())

    def _age(self) -> float:
        return time.monotonic() - self._created

    def _remaining_work(self, job: Job) -> RemainingWork:
        seconds = [self._remaining_seconds(job, device) for device in self._devices]
        to_end, to_release = (np.maximum(rows, _MIN_SECONDS) for rows in zip(*seconds, strict=True))
        recipe = job.request.recipe
        return RemainingWork(
            job.id,
            job.request.tier,
            to_end,
            to_release,
            needs_weights=recipe.steps > 0,
            tenant=job.tenant,
            start_tag=job.order,
            cost=cost(recipe, job.request.width or 1, job.request.height or 1) * (1 - job.progress.percentage / 100),
        )

    def _remaining_seconds(self, job: Job, device: str) -> tuple[Samples, Samples]:
        """Return the seconds on this device until the job is complete, and until it ends, perhaps early."""
        recipe, done = job.request.recipe, min(job.progress.percentage / 100, _MAX_DONE)
        arithmetic = pixel_evaluations(recipe, job.request.width or 1, job.request.height or 1)
        samples = self._model.samples(device).shuffled(self._random)
        predicted = arithmetic / self._model.speed(device, algorithm(recipe), arithmetic / recipe.total_steps)
        end = np.where(samples.fraction > done, samples.fraction, 1)
        running = job.state is JobState.RUNNING
        start = _share_to_start(recipe, done) * samples.start_seconds
        if running and job.fraction_per_second and done:
            loop = samples.loop_seconds_at_pace(predicted, 1 / job.fraction_per_second, done)
        else:
            elapsed = job.run_seconds if running and not done else 0.0
            start = start + np.maximum(samples.start_seconds / len(_work_of_parts(recipe)) - elapsed, 0)
            loop = predicted * np.exp(samples.error)
        start -= self._report_age if running else 0
        to_end, to_release = (start + (share - done) * loop + samples.end_seconds for share in (1.0, end))
        return to_end, to_release


def _in_state(state: JobState, jobs: list[Job]) -> list[Job]:
    return [job for job in jobs if job.state is state]


@lru_cache(maxsize=4)
def _speed_model(runs: tuple[RunRecord, ...]) -> SpeedModel:
    """Cached, since runs change only when a job ends, and forecasts are made every second."""
    return SpeedModel(runs)


def _with_assumed_device(worker: WorkerInfo, runs: Sequence[RunRecord]) -> WorkerInfo:
    """Return a starting worker with the device of the newest run, which is the most likely one."""
    starting = worker.device == STARTING and runs
    return worker.model_copy(update={"device": runs[0].device}) if starting else worker


def _announced_speeds(workers: list[WorkerInfo], known_devices: AbstractSet[str]) -> Iterator[RunRecord]:
    """Yield the speed that workers announce for each device without runs; once, as several may repeat one job."""
    speeds = {worker.device: worker.pixels_per_second for worker in workers if worker.pixels_per_second}
    for device in speeds.keys() - known_devices:
        yield RunRecord(
            device=device,
            algorithm="",
            pixels=_MEASURED_PIXELS,
            pixels_per_second=speeds[device],
            start_seconds=START_SECONDS,
            end_seconds=0,
            fraction=1,
            drift=None,
        )


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


def _share_to_start(recipe: Recipe, done: float) -> float:
    """Return the share of the parts of a run that a job has yet to start, with `done` of its arithmetic reported.

    A stage counts if the job is exactly at its beginning: its tracing is under way.
    """
    *begins, whole = accumulate(_work_of_parts(recipe))
    return sum(begin / whole >= done - _ROUNDING for begin in begins) / (len(begins) + 1)


def _work_of_parts(recipe: Recipe) -> list[float]:
    """Return the arithmetic of patch matching, if there is any, and of each stage; the aspect ratio is left out."""
    patches = sum(iteration.pixel_evaluations(iteration.longest_side**2) for iteration in recipe.patch_iterations())
    return [part for part in (patches, *(longest**2 * steps for longest, steps in recipe.schedule())) if part]


def _quantiles(ends: Mapping[str, Samples]) -> dict[str, tuple[float, float]]:
    """Return p50 and p90 of each, computed together: one by one they take as long as the simulation."""
    if not ends:
        return {}
    rows = np.quantile(np.array(list(ends.values())), _QUANTILES, axis=1).T.tolist()
    return {job_id: (p50, p90) for job_id, (p50, p90) in zip(ends, rows, strict=True)}


def _eta(p50: float, p90: float) -> DurationRange:
    return DurationRange(p50=round(max(0.0, p50), 1), p90=round(max(0.0, p90), 1))
