"""Notices a worker that has gone deaf: idle, while bells hang on its lines that it does not take down.

Celery can come back from a lost connection without consuming again (celery/celery, issue 10205). Nothing is lost then,
but a machine stands idle: so it ends, and whatever supervises it starts it anew.
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

_LOOK_SECONDS: Final = 5.0
_GONE_SECONDS: Final = 15.0


class Vigil:
    """A thread in Celery's parent, the only place that knows what the consumer took."""

    def __init__(self, services: Services, leave: Callable[[], None]) -> None:
        self._ports, self._leave = services, leave
        self._heard_at = time.monotonic()
        task_received.connect(self._heard, weak=False)

    def begin(self) -> None:
        """Watch for as long as the process lives."""
        threading.Thread(target=self._run, name="vigil", daemon=True).start()

    def _heard(self, **_: Any) -> None:
        self._heard_at = time.monotonic()

    def _run(self) -> None:
        deaf_seconds = self._ports.settings.deaf_seconds
        while True:
            time.sleep(min(_LOOK_SECONDS, deaf_seconds / 4))
            if state.active_requests or not self._bells_hang():
                self._heard_at = time.monotonic()
            elif time.monotonic() - self._heard_at > deaf_seconds:
                log.critical("deaf", seconds=time.monotonic() - self._heard_at)
                return self._leave()

    def _bells_hang(self) -> bool:
        try:
            return any(self._ports.dispatcher.pending(tier) for tier in self._ports.settings.tiers)
        except LedgerUnavailable:
            return False


def end_this_process() -> None:
    """In good order, and if that does not work, at once."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GONE_SECONDS)
    os._exit(1)
