"""The WSGI entry point: `gunicorn 'api.wsgi:app()'`, or better `python -m api`, which also configures gunicorn."""

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
    """Return the app for these settings, by default the environment's. Call it after the fork.

    Raises InvalidSettings.
    """
    settings = settings or Settings()
    check_exposure(settings)
    configure_logging(settings)
    services = open_services(settings)
    threading.Thread(target=_warm_up, args=(services,), daemon=True).start()
    return create_app(settings, services)


def _warm_up(services: Services) -> None:
    """Load the blob store's client, which takes a second of the three that the first request may take."""
    with suppress(EaselError):
        ensure_paired(services)
