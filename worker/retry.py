"""Waiting for a part that is away, for as long as the job is wanted."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from shared.errors import Unavailable
from worker.job.heartbeat import Heartbeat

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")
_RETRY_SECONDS: Final = 2.0


class Patience:
    """Does an act again until it succeeds; each holder of a claim has one."""

    def __init__(self, heartbeat: Heartbeat, drain: threading.Event) -> None:
        self._heartbeat, self._drain = heartbeat, drain

    def __call__(self, act: Callable[[], Answer]) -> Answer:
        """Until a cancel or a drain comes: then what hinders it is raised. Raises ClaimLost, Unavailable."""
        while True:
            self._heartbeat.wait_with()
            try:
                return act()
            except Unavailable as error:
                self._wait_with(error)
                if self._heartbeat.control_flags.cancel or self._drain.wait(_RETRY_SECONDS):
                    raise

    def for_seconds(self, seconds: float, act: Callable[[], Answer]) -> Answer:
        """Whatever comes, but no longer. Raises ClaimLost, Unavailable."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return act()
            except Unavailable as error:
                self._wait_with(error)
                if time.monotonic() + _RETRY_SECONDS > deadline or self._heartbeat.lost.wait(_RETRY_SECONDS):
                    raise

    def _wait_with(self, error: Unavailable) -> None:
        log.warning("waiting", code=error.code, cause=str(error.__cause__))
        self._heartbeat.wait_with()
