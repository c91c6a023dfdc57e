"""Sign-in and sign-out, for pages."""

from typing import Any, Final

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from api.context import Context
from api.http import session_cookie
from api.http.auth import keys_required
from api.http.json_body import parse_json
from api.http.operations import ResponseDoc, operation
from api.http.serializers import json_response
from shared.errors import BodyTooLarge, MalformedRequest, UnsupportedMediaType

routes = Blueprint("session", __name__)

_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["key"],
                "additionalProperties": False,
                "properties": {"key": {"type": "string", "description": "An API key of the service."}},
            }
        }
    },
}


class SessionStatus(BaseModel):
    """The browser's session."""

    required: bool = Field(description="Whether the service requires an API key.")
    signed_in: bool = Field(description="Whether the request has a valid session.")
    csrf_token: str | None = Field(description="To send as `X-CSRF-Token` with all requests but GET and HEAD.")


@routes.get("/v1/session")
@operation(ResponseDoc(200, "The session.", SessionStatus))
def get_session() -> Response:
    """Get the session of this browser."""
    return json_response(_status(_load()))


@routes.post("/v1/session")
@operation(
    ResponseDoc(200, "The session, and its cookie.", SessionStatus, headers=("Set-Cookie",)),
    body=_BODY,
    errors=(UnsupportedMediaType, BodyTooLarge),
)
def sign_in() -> Response:
    """Sign in with an API key.

    The session lasts for 30 days, until sign-out, or until its key expires or is revoked.
    """
    context, text = Context.current(), _parse_key()
    if not keys_required(context):
        return json_response(_status(None))
    session, cookie = session_cookie.create(context.callers.find(text), context.services.signing_secret)
    response = json_response(_status(session))
    session_cookie.set_cookie(response, cookie)
    return response


@routes.delete("/v1/session")
@operation(ResponseDoc(204, "Signed out.", headers=("Set-Cookie",)))
def sign_out() -> Response:
    """Sign out, and revoke this browser's session.

    Sessions of other browsers stay valid, with the same key too.
    """
    if session := _load():
        session_cookie.revoke(session, Context.current().services.revoked_sessions)
    response = Response(status=204)
    session_cookie.delete_cookie(response)
    return response


def _load() -> session_cookie.Session | None:
    context = Context.current()
    return session_cookie.load(context.callers, context.services)


def _status(session: session_cookie.Session | None) -> SessionStatus:
    return SessionStatus(
        required=keys_required(Context.current()),
        signed_in=session is not None,
        csrf_token=session.csrf_token if session else None,
    )


def _parse_key() -> str:
    """Return the key in the body. Raises MalformedRequest, UnsupportedMediaType."""
    body = parse_json(example='{"key": "..."}')
    if set(body) != {"key"} or not isinstance(body["key"], str):
        raise MalformedRequest('Send a JSON object with the key as a string: {"key": "..."}.')
    return str(body["key"])
