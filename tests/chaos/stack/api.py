"""`python -m chaos.stack.api`: the real API, which crashes inside a submission if a request header says so.

A submission of one content and one style image makes six calls to other services. It can crash before and after each.
"""

import os
import signal
from collections.abc import Callable
from typing import Any, Final
from unittest.mock import patch

import structlog
from flask import g, has_request_context, request

from api import wsgi
from api.__main__ import main as serve
from shared import services
from shared.settings import Settings
from shared.storage import SHORT_TIMEOUTS, Timeouts

log = structlog.get_logger(__name__)

CRASH_AT: Final = "X-Chaos-Crash-At"
CRASH_EVENT: Final = "crash_in_submission"
"""The last log event of the process."""
CRASH_POINTS: Final = 12
"""Before and after: two inputs, request.json, the record, the wake-up, reading the record."""


class CrashingPart:
    """A proxy for a service with a crash point before and after each call of the named methods."""

    def __init__(self, part: Any, *methods: str) -> None:
        self._part, self._methods = part, methods

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._part, name)
        return _with_crash_points(name, attribute) if name in self._methods else attribute


def _with_crash_points(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **options: Any) -> Any:
        _crash_point(f"before {name}")
        result = method(*args, **options)
        _crash_point(f"after {name}")
        return result

    return wrapped


def _crash_point(where: str) -> None:
    """Count this crash point, and crash if it is the one in the header."""
    if not has_request_context() or CRASH_AT not in request.headers:
        return
    number = g.get("crash_point", 0)
    g.crash_point = number + 1
    if number == int(request.headers[CRASH_AT]):
        log.critical(CRASH_EVENT, crash_point=number, where=where)
        os.kill(os.getpid(), signal.SIGKILL)


def open_crashing_services(settings: Settings, timeouts: Timeouts = SHORT_TIMEOUTS) -> services.Services:
    """Open the services with crash points."""
    opened = services.open_services(settings, timeouts)
    crashing = {
        "blobs": CrashingPart(opened.blobs, "put"),
        "ledger": CrashingPart(opened.ledger, "submit", "get"),
        "dispatcher": CrashingPart(opened.dispatcher, "wake"),
    }
    return services.Services(**{**vars(opened), **crashing})


if __name__ == "__main__":
    with patch.object(wsgi, "open_services", open_crashing_services):
        serve()
