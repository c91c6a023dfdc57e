"""A span for each request that changes something, and the trace context that a job keeps."""

from contextlib import ExitStack
from typing import Final

from flask import Flask, Response, g, request

from shared import tracing

_READS: Final = {"GET", "HEAD", "OPTIONS"}  # polls and streams would be most of all spans


def instrument(app: Flask) -> None:
    """Record spans if tracing is configured. Call it before other hooks are registered."""
    if tracing.is_tracing():
        app.before_request(_start_span)
        app.after_request(_add_status)
        app.teardown_request(_end_span)


def traceparent() -> str | None:
    """Return the parent of the job's spans: this request's span, or without tracing what the client sent."""
    return tracing.current_traceparent() or _sent_traceparent()


def _sent_traceparent() -> str | None:
    return tracing.valid_traceparent(request.headers.get("traceparent", ""))


def _start_span() -> None:
    if request.method in _READS:
        return
    route = request.url_rule.rule if request.url_rule else None
    attributes = {
        "http.request.method": request.method,
        "http.route": route,
        "url.path": request.path,
        "url.scheme": request.scheme,
    }
    name = f"{request.method} {route}" if route else request.method
    g.span = ExitStack()
    g.span.enter_context(tracing.span(name, attributes, kind="server", traceparent=_sent_traceparent()))


def _add_status(response: Response) -> Response:
    if "span" in g:
        failed = response.status_code >= 500  # noqa: PLR2004 - a client's mistake is no error of the server
        error = str(response.status_code) if failed else None
        tracing.annotate({"http.response.status_code": response.status_code}, error=error)
    return response


def _end_span(_: BaseException | None) -> None:
    if "span" in g:
        g.span.close()
