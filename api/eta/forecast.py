"""When each job will have ended: what ended jobs took, the jobs' own pace and the line before them lead to it."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from typing import Final, Self

import numpy as np
from pydantic import BaseModel, Field

from api.eta.simulation import Work, play
from api.eta.speed_model import Draws, Odds
from easel.models import TERMINAL, JobState, Progress
from shared.jobs.estimate import START_SECONDS, pixel_evaluations
from shared.jobs.job import Job, Request
from shared.jobs.run_history import Trial
from shared.ledger.queue_stats import STARTING, WorkerInfo
from shared.recipe import PRESETS, Recipe
from shared.services import Services
from shared.settings import Settings

LOOKAHEAD: Final = 200
"""Waiting jobs played forward; where more wait, none that waits gets an estimate."""
_LAST: Final = "last of "
_UNKNOWN: Final = "unknown"
_LEAST: Final = 0.05  # seconds, that whatever is left takes
_ALL_BUT: Final = 0.99  # done, so that what is left has a meaning
_ROUNDED: Final = 1e-4  # of a job's arithmetic: workers report hundredths of a percent
_SOME_PIXELS: Final = 256 * 192  # of the job by which a worker measured the speed that it tells


class Eta(BaseModel):
    """Seconds from now."""

    p50: float = Field(description="As likely to be sooner as later.")
    p90: float = Field(description="Nine times of ten it is no later.")


class Forecast:
    """The jobs and workers of one moment, played forward in many futures, each drawn from what ended jobs took."""

    def __init__(
        self,
        jobs: list[Job],
        workers: list[WorkerInfo],
        settings: Settings,
        trials: Sequence[Trial] = (),
        *,
        crowded: bool = False,
    ) -> None:
        """`trials` are the newest first; `crowded` where too many wait to be played: then none that waits is."""
        self._made = time.monotonic()
        self._random = np.random.default_rng(0)
        self._unreported = settings.heartbeat_seconds / 2  # how old what a worker reported is, on average
        crew = [_of_some_device(worker, trials) for worker in workers]
        self._odds = _odds((*trials, *_told(crew, {trial.device for trial in trials})))
        self._devices = sorted({worker.device for worker in crew}) or [_UNKNOWN]
        running = [job for job in jobs if job.state is JobState.RUNNING]
        waiting = sorted((job for job in jobs if job.state is JobState.QUEUED), key=lambda job: job.order)
        self._ends = _quantiles(self._played(running, waiting, crew, settings, crowded=crowded)) if crew else {}

    @classmethod
    def of_now(cls, services: Services, *newcomers: Job) -> Self:
        """From the ledger as it stands, with `newcomers` that are not in it."""
        running = services.ledger.list(state=JobState.RUNNING, limit=LOOKAHEAD)
        line = services.ledger.ids(state=JobState.QUEUED, limit=LOOKAHEAD + 1)
        crowded = len(line) > LOOKAHEAD
        known = [*running, *(() if crowded else services.ledger.several(line)), *newcomers]
        return cls(
            known, services.queue_stats.workers(), services.settings, services.run_history.recent(), crowded=crowded
        )

    def eta(self, job: Job) -> Eta | None:
        """Until this job ends, if it is left to; None for one that has, that nobody works for, or that waits far back.

        Those before it are ended early as often as jobs were of late.
        """
        return None if job.state in TERMINAL else self._until(job.id)

    def eta_of_last(self, tier: str) -> Eta | None:
        """The same for a job of the default recipe that would be submitted now."""
        return self._until(_LAST + tier)

    def run(self, job: Job) -> Eta:
        """Seconds on a worker of the moment, waiting not counted."""
        return _eta(*np.quantile(self._work(job).alone, (0.5, 0.9)).tolist())

    def _until(self, job_id: str) -> Eta | None:
        """The forecast may be a second old, and then so much less is left."""
        passed = time.monotonic() - self._made
        return _eta(*(seconds - passed for seconds in self._ends[job_id])) if job_id in self._ends else None

    def _played(
        self, running: list[Job], waiting: list[Job], crew: list[WorkerInfo], settings: Settings, *, crowded: bool
    ) -> dict[str, Draws]:
        lines = {tier: deque[Work]() for tier in settings.tiers}
        if not crowded:
            for job in waiting:
                lines.setdefault(job.request.tier, deque()).append(self._work(job))
            for tier, line in lines.items():
                line.append(replace(self._work(_last_of(tier)), real=False))
        lanes = [self._devices.index(device) for device in _lanes(running, crew)]
        return play([self._work(job) for job in running], lines, lanes, settings.slice_seconds)

    def _work(self, job: Job) -> Work:
        left = [self._left(job, device) for device in self._devices]
        alone, held = (np.maximum(seconds, _LEAST) for seconds in zip(*left, strict=True))
        return Work(job.id, job.request.tier, alone, held)

    def _left(self, job: Job, device: str) -> tuple[Draws, Draws]:
        """Seconds that a worker with this device has to do, if nobody ends the job early; and as it may come."""
        recipe, done = job.request.recipe, min(job.progress.percentage / 100, _ALL_BUT)
        arithmetic = pixel_evaluations(recipe, job.request.width or 1, job.request.height or 1)
        chances = self._odds.chances(device).shuffled(self._random)
        usual = arithmetic / self._odds.speed(device, recipe.optimizer.kind, arithmetic / recipe.steps)
        until = np.where(chances.fraction > done, chances.fraction, 1)
        running = job.state is JobState.RUNNING
        begin = _later_stages(recipe, done) * chances.start
        if running and job.pace and done:
            loop = chances.by_its_own_pace(usual, 1 / job.pace, done)
        else:
            passed = job.run_seconds if running and not done else 0.0
            begin = begin + np.maximum(chances.start / len(recipe.stages) - passed, 0)
            loop = usual * np.exp(chances.error)
        begin -= self._unreported if running else 0
        alone, held = (begin + (upto - done) * loop + chances.ending for upto in (1.0, until))
        return alone, held


@lru_cache(maxsize=4)
def _odds(trials: tuple[Trial, ...]) -> Odds:
    """They change when a job ends, and are asked once a second."""
    return Odds(trials)


def _of_some_device(worker: WorkerInfo, trials: Sequence[Trial]) -> WorkerInfo:
    """A worker that has not said what it has most likely has what jobs ended on last."""
    starting = worker.device == STARTING and trials
    return worker.model_copy(update={"device": trials[0].device}) if starting else worker


def _told(crew: list[WorkerInfo], met: AbstractSet[str]) -> Iterator[Trial]:
    """What workers say of devices on which no remembered job has ended, one of each: several may repeat one job."""
    said = {worker.device: worker.pixels_per_second for worker in crew if worker.pixels_per_second}
    for device in said.keys() - met:
        yield Trial(
            device=device,
            optimizer="",
            pixels=_SOME_PIXELS,
            pixels_per_second=said[device],
            start=START_SECONDS,
            ending=0,
            fraction=1,
            drift=None,
        )


def _lanes(running: list[Job], crew: list[WorkerInfo]) -> list[str]:
    """The devices of those that hold the running jobs, in their order, and then of the others."""
    names = {worker.name: worker.device for worker in crew}
    held = [names.get(job.worker or "", crew[0].device) for job in running]
    idle = [worker.device for worker in crew if worker.name not in {job.worker for job in running}]
    return held + idle[: max(0, len(crew) - len(running))]


def _last_of(tier: str) -> Job:
    """A job that is only thought of."""
    request = Request(
        id=_LAST + tier,
        tier=tier,
        recipe=PRESETS["default"],
        content="",
        styles=(),
        width=4,
        height=3,
        created_at=0,
        digest="",
    )
    progress = Progress(total=request.recipe.steps)
    return Job(id=request.id, state=JobState.QUEUED, request=request, order=0, progress=progress)


def _later_stages(recipe: Recipe, done: float) -> float:
    """The share of its stages that a job begins after the present one; `done` of its arithmetic is, as reported.

    One at whose very beginning it is counts: its tracing is under way.
    """
    *begins, whole = accumulate(longest**2 * steps for longest, steps in recipe.schedule())
    return sum(begin / whole >= done - _ROUNDED for begin in begins) / (len(begins) + 1)


def _quantiles(ends: dict[str, Draws]) -> dict[str, tuple[float, float]]:
    """p50 and p90 of each, all at once: one by one they take as long as the play."""
    if not ends:
        return {}
    found = np.quantile(np.array(list(ends.values())), (0.5, 0.9), axis=1).T.tolist()
    return {job_id: (p50, p90) for job_id, (p50, p90) in zip(ends, found, strict=True)}


def _eta(p50: float, p90: float) -> Eta:
    return Eta(p50=round(max(0.0, p50), 1), p90=round(max(0.0, p90), 1))
