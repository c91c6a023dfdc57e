"""Creates the Flask app."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from flask import Flask

from api.context import Context
from api.eta.forecast import Forecast
from api.http import problems, tracing
from api.http.auth import authorize
from api.http.callers import Callers
from api.http.limits import MAX_FORM_PARTS, MAX_TEXT_BYTES, StreamLimits, drain_rejected_body
from api.http.multipart import StrictFormRequest
from api.http.rate_limit import limit_requests, send_rate_limit
from api.http.request_id import assign_request_id, send_request_id
from api.http.security_headers import send_security_headers
from api.http.serializers import serialize_snapshot
from api.live.event_hub import EventHub
from api.live.snapshot_batcher import SnapshotBatcher
from api.live.ttl_cache import TtlCache, TtlCaches
from api.routes import (
    audit,
    batches,
    deliveries,
    docs,
    events,
    health,
    images,
    inputs,
    jobs,
    keys,
    metrics,
    pages,
    queue,
    recipes,
    session,
    shares,
    styles,
    submit,
    tenant,
    uploaded_images,
)
from shared.inputs.decoder_pool import DecoderPool
from shared.services import Services
from shared.settings import Settings
from shared.tenants.quotas import read_quotas

_ROUTES: Final = (
    submit,
    uploaded_images,
    batches,
    jobs,
    events,
    inputs,
    images,
    shares,
    deliveries,
    queue,
    recipes,
    styles,
    session,
    tenant,
    keys,
    audit,
    health,
    metrics,
    docs,
    pages,
)
"""In the order of the documentation: the most used first."""
_FORECAST_SECONDS: Final = 1.0  # a forecast reads hundreds of records
_STALE_FORECAST_SECONDS: Final = 9.0
_QUEUE_SECONDS: Final = 0.9
_QUOTA_SECONDS: Final = 2.0
_STALE_QUOTA_SECONDS: Final = 2.0
_CACHED_TENANTS: Final = 256


class ApiApp(Flask):
    """Flask with strict form parsing."""

    request_class = StrictFormRequest

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func`. No view or hook is a coroutine; Flask would check each of them at every request."""
        return func


def create_app(settings: Settings, services: Services) -> Flask:
    """Return the WSGI app. Redis and the blob store are not used before the first request."""
    app = ApiApp("api", static_folder=None)
    app.extensions["easel"] = _context(settings, services)
    app.url_map.merge_slashes = False
    app.config.update(  # Flask rejects larger bodies with 413, unread if they declare their length
        MAX_CONTENT_LENGTH=settings.max_body_bytes, MAX_FORM_MEMORY_SIZE=MAX_TEXT_BYTES, MAX_FORM_PARTS=MAX_FORM_PARTS
    )
    tracing.instrument(app)
    app.before_request(assign_request_id)
    app.after_request(send_request_id)
    problems.register_error_handlers(app)
    metrics.instrument(app, services)
    app.before_request(authorize)
    app.before_request(limit_requests)
    app.before_request(health.require_ledger)
    app.after_request(send_rate_limit)
    app.after_request(send_security_headers)
    app.after_request(drain_rejected_body)
    for module in _ROUTES:
        app.register_blueprint(module.routes)
    return app


def _context(settings: Settings, services: Services) -> Context:
    eta = TtlCache(
        lambda: Forecast.current(services), fresh_seconds=_FORECAST_SECONDS, stale_seconds=_STALE_FORECAST_SECONDS
    )
    snapshots = SnapshotBatcher(
        services.snapshots, lambda snapshot: serialize_snapshot(snapshot, eta, settings).model_dump_json()
    )
    stream_limits = StreamLimits(settings.api_threads, settings.streams_per_client)
    callers = Callers(settings.api_keys, services)
    quotas = TtlCaches(
        lambda tenant: read_quotas(services.blobs, tenant).or_defaults(settings),
        size=_CACHED_TENANTS,
        fresh_seconds=_QUOTA_SECONDS,
        stale_seconds=_STALE_QUOTA_SECONDS,
        keep_on_error=True,
    )
    event_hub, decoder = EventHub(services.events), DecoderPool(settings)
    context = Context(settings, services, callers, quotas, stream_limits, eta, snapshots, event_hub, decoder)
    context.queue_messages = TtlCaches(
        partial(queue.queue_message, context), size=_CACHED_TENANTS, fresh_seconds=_QUEUE_SECONDS
    )
    return context
