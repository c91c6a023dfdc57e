"""Every error leaves as `application/problem+json` (RFC 9457) with a stable `code`."""

import json
from typing import Any, Final
from urllib.parse import quote

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from shared.errors import (
    BodyTooLarge,
    EaselError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    QueueFull,
    TooManyStreams,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)

MEDIA_TYPE: Final = "application/problem+json"
_RETRY_AFTER: Final[tuple[tuple[type[EaselError], int], ...]] = (
    (QueueFull, 30),
    (TooManyStreams, 5),
    (Unavailable, 5),
)
"""Seconds after which another try makes sense."""

log = structlog.get_logger(__name__)


def install(app: Flask) -> None:
    """Answer every exception of this app with a problem."""
    app.register_error_handler(EaselError, problem)
    app.register_error_handler(HTTPException, _from_werkzeug)
    app.register_error_handler(Exception, _unforeseen)


def problem(error: EaselError) -> Response:
    """The answer to one error; its `extra` becomes further members."""
    body = {
        "type": f"/docs#{error.code}",
        "title": title(type(error)),
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "retryable": error.retryable,
        "instance": quote(request.path),
        **error.extra,
    }
    return Response(json.dumps(body) + "\n", error.status, _headers(error), mimetype=MEDIA_TYPE)


def title(kind: type[EaselError]) -> str:
    """What all errors of this kind have in common, such as "Image too large"."""
    return kind.code.replace("_", " ").capitalize()


def _headers(error: EaselError) -> dict[str, str]:
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": 'Bearer realm="easel"'}
    seconds = next((seconds for kind, seconds in _RETRY_AFTER if isinstance(error, kind)), None)
    return {"Retry-After": str(seconds)} if seconds else {}


def _from_werkzeug(error: HTTPException) -> Any:
    """Flask's own exceptions as ours; redirects pass."""
    if error.code is not None and error.code < 400:  # noqa: PLR2004 - where HTTP's errors begin
        return error
    answer = problem(_translated(error))
    if allowed := getattr(error, "valid_methods", None):
        answer.headers["Allow"] = ", ".join(sorted(allowed))
    return answer


def _translated(error: HTTPException) -> EaselError:
    match error.code:
        case 404:
            return NotFound("There is nothing at this address; /docs lists what there is.")
        case 405:
            return MethodNotAllowed(f"{request.method} is not possible here; see the Allow header.")
        case 413:
            return BodyTooLarge("The request, or one part of its form, is larger than accepted; send smaller images.")
        case 415:
            return UnsupportedMediaType("The body is of the wrong type; jobs are sent as multipart/form-data.")
        case code if code is not None and code < 500:  # noqa: PLR2004 - the sender's mistakes end here
            return MalformedRequest(f"The request cannot be read: {error.description}")
    return EaselError()


def _unforeseen(error: Exception) -> Response:
    log.error("request_failed", method=request.method, path=request.path, exc_info=error)
    return problem(EaselError())
