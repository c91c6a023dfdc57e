"""Turns every error into `application/problem+json` (RFC 9457) with a stable `code`."""

import json
from typing import Any, Final
from urllib.parse import quote

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from api.http.download_errors import RangeNotSatisfiable
from shared.errors import (
    BodyTooLarge,
    EaselError,
    InsufficientScope,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    QueueFull,
    TooManyQueuedJobs,
    TooManyStreams,
    Unauthorized,
    Unavailable,
)

MEDIA_TYPE: Final = "application/problem+json"
_RETRY_AFTER: Final[tuple[tuple[type[EaselError], int], ...]] = (
    (QueueFull, 30),
    (TooManyQueuedJobs, 30),
    (TooManyStreams, 5),
    (Unavailable, 5),
)
"""Seconds in the header Retry-After, unless the error has `retry_after_seconds`."""

log = structlog.get_logger(__name__)


def register_error_handlers(app: Flask) -> None:
    """Make the app respond to every exception with a problem."""
    app.register_error_handler(EaselError, problem_response)
    app.register_error_handler(HTTPException, http_exception_response)
    app.register_error_handler(Exception, _unexpected_error_response)


def problem_response(error: EaselError) -> Response:
    """Return the response for an error; its `extra` becomes further members."""
    body = {
        "type": f"/docs#{error.code}",
        "title": error_title(type(error)),
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "retryable": error.retryable,
        "instance": quote(request.path),
        "request_id": g.request_id,
        **error.extra,
    }
    return Response(json.dumps(body) + "\n", error.status, _headers(error), mimetype=MEDIA_TYPE)


def error_title(kind: type[EaselError]) -> str:
    """Return the title of an error class, such as "Image too large"."""
    return kind.code.replace("_", " ").capitalize()


def _headers(error: EaselError) -> dict[str, str]:
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": 'Bearer realm="easel"'}
    if isinstance(error, InsufficientScope):  # RFC 6750, section 3.1
        scope = error.extra["scope"]
        return {"WWW-Authenticate": f'Bearer realm="easel", error="insufficient_scope", scope="{scope}"'}
    if isinstance(error, RangeNotSatisfiable):
        return {"Content-Range": f"bytes */{error.extra['size']}"}
    seconds = error.extra.get("retry_after_seconds") or next(
        (seconds for kind, seconds in _RETRY_AFTER if isinstance(error, kind)), None
    )
    return {"Retry-After": str(seconds)} if seconds else {}


def http_exception_response(error: HTTPException) -> Any:
    """Return the response for an exception of Flask; redirects are returned as they are."""
    if error.code is not None and error.code < 400:  # noqa: PLR2004 - HTTP's errors
        return error
    response = problem_response(_to_easel_error(error))
    if allowed := getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _to_easel_error(error: HTTPException) -> EaselError:
    match error.code:
        case 404:
            return NotFound("There is no such URL. /docs lists all of them.")
        case 405:
            return MethodNotAllowed(f"{request.method} is not allowed for this URL. See the Allow header.")
        case 413:
            return BodyTooLarge("The request, or a part of its form, is too large. Send smaller images.")
        case code if code is not None and code < 500:  # noqa: PLR2004 - client errors
            return MalformedRequest(f"Malformed request: {error.description}")
    return EaselError()


def _unexpected_error_response(error: Exception) -> Response:
    log.error("request_failed", method=request.method, path=request.path, exc_info=error)
    return problem_response(EaselError())
