"""The header `X-Request-Id`: the same ID in a request, its response, its errors, its log lines and those of its job."""

import re
from typing import Final

import structlog
from flask import Response, g, request
from uuid_utils import uuid7

HEADER: Final = "X-Request-Id"
_VALID: Final = re.compile(r"[!-~]{1,128}")


def assign_request_id() -> None:
    """Set `g.request_id`: the client's ID if it is 1 to 128 printable ASCII characters, no spaces, else a new one."""
    sent = request.headers.get(HEADER, "")
    g.request_id = sent if _VALID.fullmatch(sent) else str(uuid7())
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def send_request_id(response: Response) -> Response:
    """Add the header to the response."""
    response.headers[HEADER] = g.request_id
    return response
