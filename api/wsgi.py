"""The WSGI entry point: `gunicorn 'api.wsgi:app()'`, or better `python -m api`, which also configures gunicorn."""

import threading
from contextlib import suppress

from flask import Flask

from api.app import create_app
from api.context import Context
from api.http.auth import check_exposure
from shared.errors import EaselError
from shared.logging import configure_logging
from shared.services import ensure_paired, open_services
from shared.settings import Settings
from shared.tracing import configure_tracing


def app(settings: Settings | None = None) -> Flask:
    """Return the app for these settings, by default the environment's. Call it after the fork.

    Raises InvalidSettings, StorageUnavailable.
    """
    settings = settings or Settings()
    check_exposure(settings)
    configure_logging(settings)
    configure_tracing("easel-api")
    app = create_app(settings, open_services(settings))
    threading.Thread(target=_warm_up, args=(app.extensions["easel"],), daemon=True).start()
    return app


def _warm_up(context: Context) -> None:
    """Start what takes a second each of the three that the first request may take, and look for stored keys."""
    with suppress(EaselError):
        context.callers.any_stored(wait=True)  # requests of pages do not wait for it
        ensure_paired(context.services)  # loads the blob store's client
    context.decoder.start()
