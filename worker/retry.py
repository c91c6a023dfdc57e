"""Retries calls to Redis and the blob store while they are unavailable, until a cancel or drain."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from shared.errors import Unavailable
from worker.job.heartbeat import Heartbeat

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
_INTERVAL_SECONDS: Final = 2.0


class RetryUntilAvailable:
    """Calls functions until they do not raise Unavailable. Each claim has one."""

    def __init__(self, heartbeat: Heartbeat, drain: threading.Event) -> None:
        self._heartbeat, self._drain = heartbeat, drain

    def __call__(self, call: Callable[[], Result], *, despite_cancel: bool = False) -> Result:
        """Retry until a cancel or drain, and then raise the Unavailable. Raises ClaimLost.

        `despite_cancel` is for the end of a canceled job: without Redis this worker could claim no other job anyway.
        """
        while True:
            self._heartbeat.mark_waiting()
            try:
                return call()
            except Unavailable as error:
                self._log_retry(error)
                canceled = self._heartbeat.control_flags.cancel and not despite_cancel
                if canceled or self._drain.wait(_INTERVAL_SECONDS):
                    raise

    def for_seconds(self, seconds: float, call: Callable[[], Result]) -> Result:
        """Retry for up to `seconds`, regardless of cancel and drain. Raises ClaimLost, Unavailable."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return call()
            except Unavailable as error:
                self._log_retry(error)
                if time.monotonic() + _INTERVAL_SECONDS > deadline or self._heartbeat.lost.wait(_INTERVAL_SECONDS):
                    raise

    def _log_retry(self, error: Unavailable) -> None:
        log.warning("waiting_for_service", code=error.code, cause=str(error.__cause__))
        self._heartbeat.mark_waiting()
