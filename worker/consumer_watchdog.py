"""Ends a worker whose Celery consumer has stalled: it is idle while wake-ups are pending in its queues.

Celery can return from a lost connection without consuming again (celery/celery#10205). No job is lost then, but a
machine is idle. The process ends so that its supervisor starts a new one.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from celery.signals import task_received
from celery.worker import state

from shared.errors import LedgerUnavailable
from shared.services import Services

log = structlog.get_logger(__name__)

_MAX_INTERVAL_SECONDS: Final = 5.0
_SHUTDOWN_SECONDS: Final = 15.0


class ConsumerWatchdog:
    """A thread in Celery's parent process, because only that process has the consumer."""

    def __init__(self, services: Services, end_process: Callable[[], None]) -> None:
        self._services, self._end_process = services, end_process
        self._active_at = time.monotonic()
        task_received.connect(self._on_task_received, weak=False)

    def start(self) -> None:
        """Watch for the rest of the process's life."""
        threading.Thread(target=self._run, name="consumer-watchdog", daemon=True).start()

    def _on_task_received(self, **_: Any) -> None:
        self._active_at = time.monotonic()

    def _run(self) -> None:
        limit = self._services.settings.stalled_consumer_seconds
        while True:
            time.sleep(min(_MAX_INTERVAL_SECONDS, limit / 4))
            if state.active_requests or not self._has_pending_wake_ups():
                self._active_at = time.monotonic()
            elif (idle := time.monotonic() - self._active_at) > limit:
                log.critical("consumer_stalled", seconds=idle)
                return self._end_process()

    def _has_pending_wake_ups(self) -> bool:
        try:
            return any(self._services.dispatcher.pending(tier) for tier in self._services.settings.tiers)
        except LedgerUnavailable:
            return False


def end_process() -> None:
    """Shut this process down, and exit if that takes too long."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SHUTDOWN_SECONDS)
    os._exit(1)
