"""The real wiring: `gunicorn 'api.wsgi:app()'`, or better `python -m api`, which also minds where it listens."""

import threading
from contextlib import suppress

from flask import Flask

from api.app import create_app
from api.http.auth import check_exposure
from shared.errors import EaselError
from shared.logging import configure_logging
from shared.services import Services, ensure_paired, open_services
from shared.settings import Settings


def app(settings: Settings | None = None) -> Flask:
    """The app over the outside world that the environment describes. Call it after the fork, not before."""
    found = settings or Settings()
    check_exposure(found)
    configure_logging(found)
    services = open_services(found)
    threading.Thread(target=_warm_up, args=(services,), daemon=True).start()
    return create_app(found, services)


def _warm_up(services: Services) -> None:
    """Loading the store's client takes a second that the first request, with three in all, had better not spend."""
    with suppress(EaselError):
        ensure_paired(services)
