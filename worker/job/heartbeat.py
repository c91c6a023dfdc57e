"""A thread next to the loop: renews the lease, which brings the control flags, and reports progress."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Final, Self

import structlog

from easel.models import Progress
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
        self._draining_since: float | None = None
        self._evaluating = False
        self._last_step_seconds = 0.0
        self._reported: Progress = self.progress.record_fields()["progress"]
        self._stopped, self._beat_now = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._session.mark_active()
        try:
            self._beat()
        except LedgerUnavailable as error:  # the next beat may succeed
            log.warning("lease_not_renewed", error=str(error.__cause__))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._beat_now.set()
        self._thread.join()

    def record_preparation(self, activity: str, fraction: float) -> None:
        """Show what the worker does before the first step of its first job, such as learning filters."""
        self.progress.preparation = f"{activity}, once" + (f", {100 * fraction:.0f} %" if fraction else "")
        self._session.mark_active()
        self._beat_now.set()

    def record_step(self, iterate: Iterate) -> None:
        """Record that the loop has done a step, without any I/O."""
        first = self.progress.last is None
        self.progress.add(iterate)
        started_at = self._session.active_at
        self._session.mark_active()
        self._last_step_seconds = self._session.active_at - started_at
        if first:
            self._beat_now.set()  # people wait for the first image

    def mark_evaluations(self, iterates: Iterator[Iterate]) -> Iterator[Iterate]:
        """Yield the iterates. While the engine evaluates one, a drain waits for it without a time limit."""
        while True:
            self._evaluating = True
            try:
                iterate = next(iterates, None)
            finally:
                self._evaluating = False
            if iterate is None:
                return
            yield iterate

    def _run(self) -> None:
        while not self._wait_for_beat():
            if self._is_hung():
                seconds = time.monotonic() - self._session.active_at
                log.critical("device_hung", seconds=seconds)
                os._exit(70)  # Celery's parent takes the claim back and replaces this child
            if self._drain_timed_out():
                self._exit_now()
            if self._session.lost.is_set():
                continue  # no more beats, but the device may still hang
            try:
                self._beat()
            except ClaimLost:
                continue  # the loop learns it from the control flags
            except LedgerUnavailable as error:  # the loop continues; a late renewal counts while the token is valid
                log.warning("lease_not_renewed", error=str(error.__cause__))
            except Exception:  # without a heartbeat the loop would miss control requests and lose its lease
                log.exception("heartbeat_failed")

    def _wait_for_beat(self) -> bool:
        """Wait until the next beat is due; True if the heartbeat was stopped."""
        self._beat_now.wait(self._session.settings.heartbeat_seconds)
        self._beat_now.clear()
        return self._stopped.is_set()

    def _beat(self) -> None:
        fields = self.progress.record_fields()
        event: tuple[str, Any] | None = None
        if fields["progress"] != self._reported:
            models = {name: fields[name].model_dump() for name in ("progress", "losses") if name in fields}
            event = ("progress", {**models, "steps_per_second": fields.get("steps_per_second")})
        self._session.beat(event, **fields)
        self._reported = fields["progress"]

    def _drain_timed_out(self) -> bool:
        """Return whether a service that hangs delays the drain. Time spent in an evaluation does not count."""
        if not self._session.drain.is_set() or self._evaluating:
            self._draining_since = None
            return False
        self._draining_since = self._draining_since or time.monotonic()
        return time.monotonic() - self._draining_since > _DRAIN_SECONDS

    def _exit_now(self) -> None:
        """Exit without the steps since the last checkpoint, but return the job to the head of its queue if possible."""
        log.critical("drain_timed_out")
        with suppress(Unavailable, ClaimLost):
            self._session.release("head")
        os._exit(os.EX_TEMPFAIL)

    def _is_hung(self) -> bool:
        limit = max(self._session.settings.hang_seconds, _HUNG_STEPS * self._last_step_seconds)
        return time.monotonic() - self._session.active_at > limit
