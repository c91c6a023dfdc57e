"""Puts the app together from its parts."""

from collections.abc import Callable
from typing import Any, Final

from flask import Flask, Response

from api.context import Context
from api.eta.service import Forecaster
from api.http import problems
from api.http.auth import authorize
from api.http.limits import Watchers, hear_out, limit_bodies
from api.http.multipart import StrictRequest
from api.http.serializers import sight_view
from api.live.event_hub import News
from api.live.snapshot_batcher import Lookout
from api.routes import deliveries, docs, events, health, images, jobs, metrics, pages, queue, recipes, session, submit
from shared.services import Services
from shared.settings import Settings

_PARTS: Final = (submit, jobs, events, images, deliveries, queue, recipes, session, health, metrics, docs, pages)
"""In the order of the documentation: what one comes for first."""


class Easel(Flask):
    """Flask with a stricter eye on forms and a closed one on coroutines."""

    request_class = StrictRequest

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view and no hook here is a coroutine, which Flask would find out anew for each of them at each request."""
        return func


def create_app(settings: Settings, services: Services) -> Flask:
    """The WSGI app. Asks nothing of Redis or the blob store before the first request."""
    app = Easel("api", static_folder=None)
    app.extensions["easel"] = _context(settings, services)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    app.url_map.merge_slashes = False
    limit_bodies(app, settings)
    problems.install(app)
    metrics.install(app, services)
    app.before_request(authorize)
    app.before_request(health.require_ledger)
    app.after_request(_careful)
    app.after_request(hear_out)
    for part in _PARTS:
        app.register_blueprint(part.routes)
    return app


def _context(settings: Settings, services: Services) -> Context:
    forecaster = Forecaster(services)
    lookout = Lookout(services.snapshots, lambda sight: sight_view(sight, forecaster).model_dump_json())
    return Context(
        settings,
        services,
        Watchers(settings.api_threads, settings.streams_per_client),
        forecaster,
        lookout,
        News(services.events),
    )


def _careful(response: Response) -> Response:
    """A browser shall take every answer for what it says it is."""
    response.headers.add("X-Content-Type-Options", "nosniff")
    response.headers.add("Referrer-Policy", "no-referrer")
    return response
