"""`python -m chaos.api`: the product's API, which dies in the middle of a submission where the header asks for it.

A submission of one content and one style does six things to the world outside; it can die before and after each.
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
from shared.storage import HASTY, Patience

log = structlog.get_logger(__name__)

DIE_AT: Final = "X-Chaos-Die-At"
DIES: Final = "dies_in_submission"
"""The last word in its log."""
MOMENTS: Final = 12
"""Before and after: two inputs, request.json, the record, the bell, the look at the record."""


class Mortal:
    """A part of the outside world; the named acts are counted in each submission."""

    def __init__(self, part: Any, *acts: str) -> None:
        self._part, self._acts = part, acts

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._part, name)
        return _counted(name, act) if name in self._acts else act


def _counted(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **options: Any) -> Any:
        _moment(f"before {name}")
        answer = act(*args, **options)
        _moment(f"after {name}")
        return answer

    return wrapped


def _moment(what: str) -> None:
    """One more; the last one where the header says so."""
    if not has_request_context() or DIE_AT not in request.headers:
        return
    number = g.get("chaos_moment", 0)
    g.chaos_moment = number + 1
    if number == int(request.headers[DIE_AT]):
        log.critical(DIES, moment=number, what=what)
        os.kill(os.getpid(), signal.SIGKILL)


def opened(settings: Settings, patience: Patience = HASTY) -> services.Services:
    """Like open_services, with parts that can be the last thing their user touches."""
    found = services.open_services(settings, patience)
    mortal = {
        "blobs": Mortal(found.blobs, "put"),
        "ledger": Mortal(found.ledger, "submit", "get"),
        "dispatcher": Mortal(found.dispatcher, "wake"),
    }
    return services.Services(**{**vars(found), **mortal})


if __name__ == "__main__":
    with patch.object(wsgi, "open_services", opened):
        serve()
