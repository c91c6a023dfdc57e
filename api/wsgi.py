"""The WSGI entry point: `gunicorn 'api.wsgi:app()'`, or better `python -m api`, which also configures gunicorn."""

import threading
from contextlib import suppress

from flask import Flask

from api.app import create_app
from api.http.auth import check_exposure
from api.imaging.decoder import Decoder
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
    app = create_app(settings, services)
    threading.Thread(target=_warm_up, args=(services, app.extensions["easel"].decoder), daemon=True).start()
    return app


def _warm_up(services: Services, decoder: Decoder) -> None:
    """Start what takes a second each of the three that the first request may take."""
    with suppress(EaselError):
        ensure_paired(services)  # loads the blob store's client
    decoder.start()
