"""A thread beside the loop: keeps the lease, reports progress, and hears the wishes cancel, finish and drain."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import structlog

from easel.models import Progress
from shared.errors import ClaimLost, LedgerUnavailable, Unavailable
from shared.ledger.ledger import Claim, ControlFlags
from shared.services import Services
from worker.protocols import Frame

log = structlog.get_logger(__name__)

_HUNG_STEPS: Final = 10
_NEARLY_ALL: Final = 0.9  # of the arithmetic
_GONE_SECONDS: Final = 9.0  # with what Redis' time-outs and Celery's own end add, under 15


@dataclass(frozen=True)
class _Mark:
    """When a step was done. No frame: that would hold all of an optimiser's state."""

    step: int
    fraction: float
    phase: str
    at: float  # time.monotonic
    aside: float = 0.0  # seconds up to here of steps that began a phase: they may hold a trace of many times a step
    fraction_aside: float = 0.0  # that was done in them

    def then(self, frame: Frame, at: float) -> "_Mark":
        """The mark of the frame that follows."""
        begins = frame.phase != self.phase
        aside = self.aside + (at - self.at if begins else 0)
        fraction_aside = self.fraction_aside + (frame.fraction - self.fraction if begins else 0)
        return _Mark(frame.step, frame.fraction, frame.phase, at, aside, fraction_aside)


class Times(NamedTuple):
    """How a claim went, in seconds and shares of the job's arithmetic; as shared.jobs.run_history.Trial says."""

    pace: float  # arithmetic in a second of the loop
    start: float
    ending: float
    fraction: float
    drift: float | None


class Heartbeat:
    """Renews the claim every EASEL_HEARTBEAT_SECONDS, while the loop moves."""

    def __init__(self, services: Services, claim: Claim, drain: threading.Event) -> None:
        self._ports, self._claim, self._drain = services, claim, drain
        self._leaving_since: float | None = None
        self._evaluating = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._over, self._woken = threading.Event(), threading.Event()
        self.lost = threading.Event()
        """Set once the claim is another's."""
        self._wishes = ControlFlags(cancel=False, finish=False, others_wait=False)
        self._began = self._moved = time.monotonic()
        self._last_seconds = 0.0  # the last evaluation took
        self._first: _Mark | None = None  # of this claim: the speed that later estimates use
        self._half: _Mark | None = None  # the first after half of the arithmetic
        self._phase: _Mark | None = None  # of this phase: the speed that people see
        self._last: _Mark | None = None
        self._frame: Frame | None = None  # of the last
        self._said: _Mark | None = None

    def __enter__(self) -> Self:
        try:
            self._beat()
        except LedgerUnavailable as error:  # the next one may get through
            log.warning("lease_not_renewed", job=self._claim.job.id, error=str(error.__cause__))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._woken.set()
        self._thread.join()

    @property
    def control_flags(self) -> ControlFlags:
        """As last heard from the ledger. Raises ClaimLost once the claim is another's."""
        if self.lost.is_set():
            raise ClaimLost(f"Job {self._claim.job.id} has another holder now.")
        return self._wishes

    @property
    def seconds(self) -> float:
        """Since the claim."""
        return time.monotonic() - self._began

    @property
    def steps_per_second(self) -> float | None:
        """Over the present phase, its first step left out."""
        return _rate(self._phase, self._last, lambda mark: mark.step)

    @property
    def fraction_per_second(self) -> float | None:
        """Of the job's arithmetic, over this claim, the first step of each phase left out."""
        return _rate(self._first, self._last, _done)

    def note(self, frame: Frame) -> None:
        """Tell that the loop has moved; costs nothing."""
        now, last = time.monotonic(), self._last
        mark = last.then(frame, now) if last else _Mark(frame.step, frame.fraction, frame.phase, now)
        first, self._first = self._first is None, self._first or mark
        if self._phase is None or self._phase.phase != mark.phase:
            self._phase = mark
        if mark.fraction >= 1 / 2:
            self._half = self._half or mark
        self._last_seconds, self._moved = mark.at - self._moved, mark.at
        self._last, self._frame = mark, frame
        if first:
            self._woken.set()  # the first picture is news that people wait for

    def watched(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """These frames. While the engine is at one, nobody is overdue: whoever is told to leave finishes it first."""
        while True:
            self._evaluating = True
            try:
                frame = next(frames, None)
            finally:
                self._evaluating = False
            if frame is None:
                return
            yield frame

    def wait_with(self) -> None:
        """Tell that the loop is at a part that may be slow or away: it does not hang."""
        self._moved = time.monotonic()

    def record(self) -> dict[str, Any]:
        """The fields of the job's record that the loop changes."""
        frame, job = self._frame, self._claim.job
        run_seconds = round(job.run_seconds + self.seconds, 3)
        if frame is None:
            waiting = job.progress.model_copy(update={"phase": "preparing"})
            return {"progress": waiting, "run_seconds": run_seconds}
        return {
            "progress": Progress(
                phase=frame.phase,
                current=frame.step,
                total=job.request.recipe.steps,
                percentage=round(100 * frame.fraction, 2),
            ),
            "losses": frame.losses,
            "step_backoffs": frame.step_backoffs,
            "steps_per_second": self.steps_per_second,
            "pace": self.fraction_per_second,
            "run_seconds": run_seconds,
        }

    def times(self) -> Times | None:
        """As of now; None before the second frame."""
        pace = self.fraction_per_second
        if self._first is None or self._last is None or not pace:
            return None
        traced = max(0.0, self._last.aside - self._last.fraction_aside / pace)  # beyond the steps' own time
        start, ending = self._first.at - self._began + traced, time.monotonic() - self._last.at
        return Times(pace, start, ending, self._last.fraction, self._drift())

    def _drift(self) -> float | None:
        """Of a job that was seen from its beginning to its end."""
        if self._first is None or self._last is None or self._last.fraction - self._first.fraction < _NEARLY_ALL:
            return None
        before, after = _rate(self._first, self._half, _done), _rate(self._half, self._last, _done)
        return math.log(after / before) if before and after else None

    def _run(self) -> None:
        while not self._ended():
            if self._hung():
                log.critical("device_hung", job=self._claim.job.id, seconds=time.monotonic() - self._moved)
                os._exit(70)  # the lease runs out, another worker goes on, Celery's parent replaces this child
            if self._overdue():
                self._leave_at_once()
            if self.lost.is_set():
                continue  # without a beat, but the device may hang all the same
            try:
                self._beat()
            except ClaimLost:
                self.lost.set()
            except LedgerUnavailable as error:  # the work goes on; a late renewal counts while the token stands
                log.warning("lease_not_renewed", job=self._claim.job.id, error=str(error.__cause__))
            except Exception:  # whatever it was: a loop without a heartbeat hears no wish and loses its lease
                log.exception("heartbeat_stumbled", job=self._claim.job.id)

    def _ended(self) -> bool:
        """False when it is time for a beat."""
        self._woken.wait(self._ports.settings.heartbeat_seconds)
        self._woken.clear()
        return self._over.is_set()

    def _beat(self) -> None:
        last, fields = self._last, self.record()
        event = None
        if last is not self._said:
            told = {name: value.model_dump() for name, value in fields.items() if name in {"progress", "losses"}}
            event = ("progress", {**told, "steps_per_second": fields["steps_per_second"]})
        lease = self._ports.settings.lease_seconds
        self._wishes = self._ports.ledger.renew(self._claim, lease_seconds=lease, event=event, **fields)
        self._said = last

    def _overdue(self) -> bool:
        """Whether a part that neither answers nor refuses keeps us from leaving. An evaluation is waited for."""
        if not self._drain.is_set() or self._evaluating:
            self._leaving_since = None
            return False
        self._leaving_since = self._leaving_since or time.monotonic()
        return time.monotonic() - self._leaving_since > _GONE_SECONDS

    def _leave_at_once(self) -> None:
        """With the steps since the last checkpoint lost, but not the place in the line, if Redis hears us."""
        log.critical("left_at_once", job=self._claim.job.id)
        with suppress(Unavailable, ClaimLost):
            self._ports.ledger.release(self._claim, place="head")
        os._exit(os.EX_TEMPFAIL)

    def _hung(self) -> bool:
        return time.monotonic() - self._moved > max(self._ports.settings.hang_seconds, _HUNG_STEPS * self._last_seconds)


def _done(mark: _Mark) -> float:
    return mark.fraction - mark.fraction_aside


def _rate(first: _Mark | None, last: _Mark | None, what: Callable[[_Mark], float]) -> float | None:
    """How much of `what` was done in a second between two marks, in the time that was not set aside."""
    seconds = (last.at - last.aside) - (first.at - first.aside) if first and last else 0
    if first is None or last is None or seconds <= 0:
        return None
    return float(f"{(what(last) - what(first)) / seconds:.3g}")
