"""How far and how fast the loop of one claim has come: the record's progress fields, and timing for later estimates."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from easel.models import Progress
from shared.jobs.job import Job
from worker.protocols import Iterate

_WHOLE_RUN: Final = 0.9  # of the arithmetic


@dataclass(frozen=True)
class StepMark:
    """When a step was done. It holds no iterate, which would keep all of an optimizer's state alive."""

    step: int
    fraction: float
    phase: str
    at: float  # time.monotonic without the seconds spent in `untimed`
    excluded_seconds: float = 0.0  # of first steps of a phase so far: they may hold a trace, many times a step
    excluded_fraction: float = 0.0  # that those steps did

    def next(self, iterate: Iterate, at: float) -> "StepMark":
        """Return the mark of the iterate that follows."""
        seconds, fraction = (at - self.at, iterate.fraction - self.fraction) if iterate.phase != self.phase else (0, 0)
        return StepMark(
            iterate.step,
            iterate.fraction,
            iterate.phase,
            at,
            self.excluded_seconds + seconds,
            self.excluded_fraction + fraction,
        )


class JobTiming(NamedTuple):
    """Timing of a claim, in seconds and fractions of the job's arithmetic; see shared.jobs.run_history.RunRecord."""

    fraction_per_second: float  # in the loop
    start_seconds: float
    end_seconds: float
    fraction: float
    drift: float | None


class ProgressTracker:
    """Measures the loop. Only the loop calls `add`; other threads read."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._claimed_at = time.monotonic()
        self._untimed_seconds = 0.0
        self.preparation = "preparing"
        """The phase before the first iterate."""
        self._first: StepMark | None = None  # of this claim: the base of the speed for later estimates
        self._half: StepMark | None = None  # the first after half of the arithmetic
        self._phase: StepMark | None = None  # first of this phase: the base of the speed that people see
        self._iterate: Iterate | None = None  # the last
        self.last: StepMark | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the claim."""
        return time.monotonic() - self._claimed_at

    @property
    def steps_per_second(self) -> float | None:
        """Speed in the current phase without its first step."""
        return _rate(self._phase, self.last, lambda mark: mark.step)

    @property
    def fraction_per_second(self) -> float | None:
        """Fraction of the job's arithmetic per second in this claim, without the first step of each phase."""
        return _rate(self._first, self.last, _measured_fraction)

    @contextmanager
    def untimed(self) -> Iterator[None]:
        """Leave the time of the block out of the timing and the speeds: it says nothing about later jobs."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._untimed_seconds += time.monotonic() - started

    @contextmanager
    def loading_weights(self) -> Iterator[None]:
        """Leave the time of the block out of the start's: learning filters happens once on a machine."""
        try:
            with self.untimed():
                yield
        finally:
            self.preparation = "preparing"

    def add(self, iterate: Iterate) -> None:
        """Record that a step is done."""
        now, last = self._timed_now(), self.last
        mark = last.next(iterate, now) if last else StepMark(iterate.step, iterate.fraction, iterate.phase, now)
        self._first = self._first or mark
        if self._phase is None or self._phase.phase != mark.phase:
            self._phase = mark
        if mark.fraction >= 1 / 2:
            self._half = self._half or mark
        self._iterate, self.last = iterate, mark  # in this order: `last` implies an iterate

    def record_fields(self) -> dict[str, Any]:
        """Return the fields of the job's record that change while it runs."""
        iterate, job = self._iterate, self._job
        run_seconds = round(job.run_seconds + self.seconds, 3)
        if iterate is None:
            return {"progress": job.progress.model_copy(update={"phase": self.preparation}), "run_seconds": run_seconds}
        return {
            "progress": Progress(
                phase=iterate.phase,
                current=iterate.step,
                total=job.request.recipe.total_steps,
                percentage=round(100 * iterate.fraction, 2),
            ),
            **({"losses": iterate.losses} if iterate.losses else {}),  # patch matching has none
            "step_backoffs": iterate.step_backoffs,
            "steps_per_second": self.steps_per_second,
            "fraction_per_second": self.fraction_per_second,
            "run_seconds": run_seconds,
        }

    def timing(self) -> JobTiming | None:
        """Return the timing up to now; None before the second iterate."""
        speed = self.fraction_per_second
        if self._first is None or self.last is None or not speed:
            return None
        tracing = max(0.0, self.last.excluded_seconds - self.last.excluded_fraction / speed)  # beyond the steps' time
        start = self._first.at - self._claimed_at + tracing
        return JobTiming(speed, start, self._timed_now() - self.last.at, self.last.fraction, self._drift())

    def _timed_now(self) -> float:
        return time.monotonic() - self._untimed_seconds

    def _drift(self) -> float | None:
        """Return the logarithm of the speed after half of the run by that before; None of a run seen in part."""
        if self._first is None or self.last is None or self.last.fraction - self._first.fraction < _WHOLE_RUN:
            return None
        before = _rate(self._first, self._half, _measured_fraction)
        after = _rate(self._half, self.last, _measured_fraction)
        return math.log(after / before) if before and after else None


def _measured_fraction(mark: StepMark) -> float:
    return mark.fraction - mark.excluded_fraction


def _rate(first: StepMark | None, last: StepMark | None, quantity: Callable[[StepMark], float]) -> float | None:
    """Return how much `quantity` grew per second between two marks, without the excluded time."""
    seconds = (last.at - last.excluded_seconds) - (first.at - first.excluded_seconds) if first and last else 0
    if first is None or last is None or seconds <= 0:
        return None
    return float(f"{(quantity(last) - quantity(first)) / seconds:.3g}")
