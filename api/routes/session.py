"""Signing in and out, for pages."""

import json
from typing import Any, Final

from flask import Blueprint, Response, request
from pydantic import BaseModel, Field

from api.context import here
from api.http import session_cookie
from api.http.auth import key_of
from api.http.operations import Answer, operation
from api.http.serializers import answer
from shared.errors import BodyTooLarge, MalformedRequest, Unauthorized, UnsupportedMediaType

routes = Blueprint("session", __name__)

_LONGEST_BODY: Final = 4096  # bytes; strangers send it
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["key"],
                "additionalProperties": False,
                "properties": {"key": {"type": "string", "description": "One of EASEL_API_KEYS."}},
            }
        }
    },
}


class SessionView(BaseModel):
    """Whether this browser may call."""

    required: bool = Field(description="Whether the service asks for a key at all.")
    signed_in: bool
    csrf_token: str | None = Field(description="To be sent as `X-CSRF-Token` with all that changes something.")


@routes.get("/v1/session")
@operation(Answer(200, "The session.", SessionView))
def get_session() -> Response:
    """Learn whether to sign in."""
    return answer(_view(_session()))


@routes.post("/v1/session")
@operation(
    Answer(200, "The session, and its cookie.", SessionView, headers=("Set-Cookie",)),
    body=_BODY,
    errors=(UnsupportedMediaType, BodyTooLarge),
)
def sign_in() -> Response:
    """Sign in with a key.

    The cookie lasts for 30 days, until it is signed out, or until its key is taken from EASEL_API_KEYS.
    """
    context, sent = here(), _sent()
    if not context.settings.api_keys:
        return answer(_view(None))
    key = key_of(sent, context.settings)
    if key is None:
        raise Unauthorized("This is none of the service's keys; whoever runs it has one.")
    session, value = session_cookie.begin(key)
    response = answer(_view(session))
    session_cookie.give(response, value)
    return response


@routes.delete("/v1/session")
@operation(Answer(204, "Signed out.", headers=("Set-Cookie",)))
def sign_out() -> Response:
    """Sign out: this browser forgets its cookie, and a copy of it opens nothing any more.

    Other browsers stay signed in, with the same key, too.
    """
    if session := _session():
        session_cookie.end(session, here().services.revoked_sessions)
    response = Response(status=204)
    session_cookie.take_back(response)
    return response


def _session() -> session_cookie.Session | None:
    return session_cookie.read(here().settings, here().services.revoked_sessions)


def _view(session: session_cookie.Session | None) -> SessionView:
    return SessionView(
        required=bool(here().settings.api_keys),
        signed_in=session is not None,
        csrf_token=session.csrf_token if session else None,
    )


def _sent() -> str:
    """The key in the body. Raises MalformedRequest, UnsupportedMediaType."""
    request.max_content_length = _LONGEST_BODY
    if request.mimetype != "application/json":
        raise UnsupportedMediaType('Send application/json: {"key": "..."}.')
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise MalformedRequest('The body is no JSON; send {"key": "..."}.') from error
    if not isinstance(body, dict) or set(body) != {"key"} or not isinstance(body["key"], str):
        raise MalformedRequest('Send a JSON object with the key as text: {"key": "..."}.')
    return str(body["key"])
