"""When each job will have ended: the queue played forward on the workers of the moment."""

import heapq
import math
import threading
import time
from collections import deque
from typing import Final, NamedTuple, Self

import structlog
from pydantic import BaseModel, Field

from shared.errors import EaselError
from shared.estimate import DEFAULT_PIXELS_PER_SECOND, quote
from shared.job import TERMINAL, Job, JobState, Progress, Request
from shared.overview import WorkerInfo
from shared.ports import Ports
from shared.recipe import PRESETS
from shared.settings import Settings

log = structlog.get_logger(__name__)

LOOKAHEAD: Final = 200
"""Jobs played forward; where more wait, those that wait get no estimate."""
_ROUNDS: Final = 2000
_SPREAD_MEASURED: Final = 1.5
_SPREAD_GUESSED: Final = 4.0
"""How far off we may be: a GPU nobody has measured yet is many times faster than the two cores assumed."""
_STALE: Final = 10
"""Lifetimes after which a forecast is worth nothing."""


class Eta(BaseModel):
    """Seconds from now."""

    p50: float = Field(description="As likely to be sooner as later.")
    p90: float = Field(description="Very probably no later.")


class _Work(NamedTuple):
    tier: str
    job_id: str
    left: float  # seconds


class Forecast:
    """What the workers' measured speed, the jobs' own pace and the time slices lead to."""

    def __init__(self, jobs: list[Job], workers: list[WorkerInfo], settings: Settings) -> None:
        self.crowded = False  # whether more wait than are played forward
        speeds = [worker.pixels_per_second for worker in workers if worker.pixels_per_second]
        self.pixels_per_second = sum(speeds) / len(speeds) if speeds else None
        self._spread = _SPREAD_MEASURED if speeds else _SPREAD_GUESSED
        running = [self._work(job) for job in jobs if job.state is JobState.RUNNING]
        waiting = sorted((job for job in jobs if job.state is JobState.QUEUED), key=lambda job: job.order)
        lines = {tier: deque[_Work]() for tier in settings.tiers}
        for job in waiting:
            lines.setdefault(job.request.tier, deque()).append(self._work(job))
        self._now = running, lines, len(workers), settings.slice_seconds
        self._ends = _play(*self._now)

    @classmethod
    def of_now(cls, ports: Ports, *newcomers: Job) -> Self:
        """From the ledger as it stands, with `newcomers` that are not in it."""
        running = ports.ledger.list(state=JobState.RUNNING, limit=LOOKAHEAD)
        waiting = ports.ledger.list(state=JobState.QUEUED, limit=LOOKAHEAD + 1)
        crowded = len(waiting) > LOOKAHEAD
        known = [] if crowded else [*waiting, *newcomers]
        made = cls([*running, *known], ports.overview.workers(), ports.settings)
        made.crowded = crowded
        return made

    def eta(self, job: Job) -> Eta | None:
        """Until this job ends; None for one that has ended, that nobody works for, or that waits far back."""
        if job.state in TERMINAL or job.id not in self._ends:
            return None
        return self._told(self._ends[job.id])

    def _told(self, seconds: float) -> Eta:
        return Eta(p50=round(seconds, 1), p90=round(seconds * self._spread, 1))

    def eta_of_last(self, tier: str) -> Eta | None:
        """Of a usual job that came to this tier now; None where nobody works, or too many wait."""
        running, lines, workers, slice_seconds = self._now
        if self.crowded or not workers:
            return None
        newcomer = self._work(_usual(tier))
        longer = {**lines, tier: deque([*lines.get(tier, ()), newcomer])}
        return self._told(_play(running, longer, workers, slice_seconds)[newcomer.job_id])

    def _work(self, job: Job) -> _Work:
        """What is left of a job: by its own pace where it has one, else by the workers' speed."""
        done = job.progress.percentage / 100
        if job.run_seconds > 1 and done > 0.02:  # noqa: PLR2004 - below two per cent the pace is noise
            left = job.run_seconds * (1 - done) / done
        else:
            width, height = job.request.width or 1, job.request.height or 1
            speed = self.pixels_per_second or DEFAULT_PIXELS_PER_SECOND
            left = quote(job.request.recipe, width, height, speed).seconds * (1 - done)
        return _Work(job.request.tier, job.id, max(left, 0.1))


class Forecaster:
    """The forecast of the moment, for every look at a job: it takes hundreds of records to make one."""

    def __init__(self, ports: Ports, lifetime: float = 1.0) -> None:
        """`lifetime` is in seconds."""
        self._ports, self.lifetime = ports, lifetime
        self._kept: tuple[float, Forecast] | None = None  # replaced as one, so readers need no lock
        self._at_work = threading.Lock()

    def now(self, *, fresh: bool = False) -> Forecast:
        """Made at most `lifetime` ago, or the one before while another is made beside.

        `fresh` for one that knows of a job which came just now. Raises LedgerUnavailable.
        """
        kept = self._kept
        age = time.monotonic() - kept[0] if kept else math.inf
        if fresh or kept is None or age >= _STALE * self.lifetime:
            return self._make()
        if age >= self.lifetime and self._at_work.acquire(blocking=False):
            threading.Thread(target=self._renew, name="forecast", daemon=True).start()
        return kept[1]

    def _renew(self) -> None:
        try:
            self._make()
        except EaselError as error:  # whoever finds the old one stale will hear of it
            log.info("no_forecast", code=error.code)
        finally:
            self._at_work.release()

    def _make(self) -> Forecast:
        made = Forecast.of_now(self._ports)
        self._kept = time.monotonic(), made
        return made


def _usual(tier: str) -> Job:
    """A job like most: a photo of 4 to 3 by the preset that is taken where none is named."""
    recipe = PRESETS["default"]
    request = Request(
        id=f"the last of {tier}",
        tier=tier,
        recipe=recipe,
        content="",
        styles=(),
        width=4,
        height=3,
        created_at=0,
        digest="",
    )
    progress = Progress(total=recipe.steps)
    return Job(id=request.id, state=JobState.QUEUED, request=request, order=2**53, progress=progress)


def _play(running: list[_Work], lines: dict[str, deque[_Work]], workers: int, slice_seconds: float) -> dict[str, float]:
    """When each job ends, in seconds from now, if nobody else came; empty where nobody works."""
    ends: dict[str, float] = {}
    if not workers:
        return ends
    lines = {tier: deque(line) for tier, line in lines.items()}
    total = sum(work.left for line in (running, *lines.values()) for work in line)
    quantum = max(slice_seconds, total / _ROUNDS)  # bounds the rounds, however long the jobs
    busy = [(min(work.left, quantum), work) for work in running]
    lanes = [*busy, *[(0.0, _Work("", "", 0.0))] * (workers - len(busy))]
    heapq.heapify(lanes)
    while lanes:
        now, work = heapq.heappop(lanes)
        rest = work.left - quantum
        if rest > 0:
            lines.setdefault(work.tier, deque()).append(work._replace(left=rest))
        elif work.job_id:
            ends[work.job_id] = now
        line = next((line for line in lines.values() if line), None)
        if line:
            following = line.popleft()
            heapq.heappush(lanes, (now + min(following.left, quantum), following))
    return ends
