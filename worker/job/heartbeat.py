"""A thread next to the loop: renews the lease, which brings the control flags, and reports progress."""

import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Final, Self

import structlog

from shared.errors import ClaimLost, LedgerUnavailable, Unavailable
from worker.job.progress import ProgressTracker
from worker.job.session import JobSession
from worker.protocols import Iterate

log = structlog.get_logger(__name__)

_HUNG_STEPS: Final = 10
_DRAIN_SECONDS: Final = 9.0  # with Redis' timeouts and Celery's own shutdown, under 15


class Heartbeat:
    """Renews the claim every EASEL_HEARTBEAT_SECONDS, and ends the process if the loop hangs."""

    def __init__(self, session: JobSession) -> None:
        self._session = session
        self.progress = ProgressTracker(session.job)
        self._reported = self.progress.fields["progress"]
        self._evaluating = False
        self._draining_since = math.inf
        self._stopped, self._beat_now = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._session.mark_active()
        self._beat()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._beat_now.set()
        self._thread.join()

    def record_preparation(self, activity: str, fraction: float) -> None:
        """Show what the worker does before the first step of its first job, such as learning filters."""
        self.progress.set_phase(f"{activity}, once" + (f", {100 * fraction:.0f} %" if fraction else ""))
        self._session.mark_active()
        self._beat_now.set()

    def record_steps(self, iterates: Iterator[Iterate]) -> Iterator[Iterate]:
        """Yield the iterates, and record each one without any I/O."""
        first = True
        while (iterate := self._evaluate(iterates)) is not None:
            if first:
                self._beat_now.set()  # people wait for the first image
            first = False
            yield iterate

    def _evaluate(self, iterates: Iterator[Iterate]) -> Iterate | None:
        began, self._evaluating = time.monotonic(), True
        try:
            iterate = next(iterates, None)
        finally:
            self._evaluating = False
        if iterate is not None:
            self.progress.add(iterate, time.monotonic() - began)
            self._session.mark_active()
        return iterate

    def _run(self) -> None:
        while True:
            self._beat_now.wait(self._session.settings.heartbeat_seconds)
            self._beat_now.clear()
            if self._stopped.is_set():
                return
            self._exit_if_hung()
            self._exit_if_drain_timed_out()
            if not self._session.lost.is_set():  # else the device may still hang
                self._beat()

    def _beat(self) -> None:
        fields = self.progress.record_fields()
        event: tuple[str, Any] | None = None
        if fields["progress"] != self._reported:
            models = {name: fields[name].model_dump() for name in ("progress", "losses") if name in fields}
            event = ("progress", {**models, "steps_per_second": fields.get("steps_per_second")})
        try:
            self._session.renew(event, **fields)
        except ClaimLost:  # the loop learns it from the control flags
            return
        except LedgerUnavailable as error:  # the loop continues; a late renewal counts while the token is valid
            log.warning("lease_not_renewed", error=str(error.__cause__))
        except Exception:  # without a heartbeat the loop would miss control requests and lose its lease
            log.exception("heartbeat_failed")
        else:
            self._reported = fields["progress"]

    def _exit_if_hung(self) -> None:
        seconds = time.monotonic() - self._session.active_at
        if seconds > max(self._session.settings.hang_seconds, _HUNG_STEPS * self.progress.step_seconds):
            log.critical("device_hung", seconds=seconds)
            os._exit(70)  # Celery's parent takes the claim back and replaces this child

    def _exit_if_drain_timed_out(self) -> None:
        """Exit without the steps since the last checkpoint if a service that hangs delays the drain.

        An evaluation may take any time. The job returns to the head of its queue if possible.
        """
        draining = self._session.drain.is_set() and not self._evaluating
        self._draining_since = min(self._draining_since, time.monotonic()) if draining else math.inf
        if time.monotonic() - self._draining_since > _DRAIN_SECONDS:
            log.critical("drain_timed_out")
            with suppress(Unavailable, ClaimLost):
                self._session.release("head")
            os._exit(os.EX_TEMPFAIL)
