"""Sign-in and sign-out, for pages."""

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from api.context import Context
from api.http import session_cookie
from api.http.auth import keys_required
from api.http.json_body import json_body, parse_model
from api.http.operations import ResponseDoc, operation
from api.http.serializers import json_response
from shared.errors import BodyTooLarge, UnsupportedMediaType

routes = Blueprint("session", __name__)


class SignIn(BaseModel):
    """What a browser signs in with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(description="An API key of the service.")


class SessionStatus(BaseModel):
    """The browser's session."""

    required: bool = Field(description="Whether the service requires an API key.")
    signed_in: bool = Field(description="Whether the request has a valid session.")
    csrf_token: str | None = Field(description="To send as `X-CSRF-Token` with all requests but GET and HEAD.")


@routes.get("/v1/session")
@operation(ResponseDoc(200, "The session.", SessionStatus))
def get_session() -> Response:
    """Get the session of this browser."""
    return json_response(_status(session_cookie.load()))


@routes.post("/v1/session")
@operation(
    ResponseDoc(200, "The session, and its cookie.", SessionStatus, headers=("Set-Cookie",)),
    body=json_body(SignIn),
    errors=(UnsupportedMediaType, BodyTooLarge),
)
def sign_in() -> Response:
    """Sign in with an API key.

    The session lasts for 30 days, until sign-out, or until its key expires or is revoked.
    """
    context, body = Context.current(), parse_model(SignIn, example='{"key": "..."}')
    if not keys_required(context):
        return json_response(_status(None))
    session, cookie = session_cookie.create(context.callers.find(body.key))
    response = json_response(_status(session))
    session_cookie.set_cookie(response, cookie)
    return response


@routes.delete("/v1/session")
@operation(ResponseDoc(204, "Signed out.", headers=("Set-Cookie",)))
def sign_out() -> Response:
    """Sign out, and revoke this browser's session.

    Sessions of other browsers stay valid, with the same key too.
    """
    if session := session_cookie.load():
        session_cookie.revoke(session)
    response = Response(status=204)
    session_cookie.delete_cookie(response)
    return response


def _status(session: session_cookie.Session | None) -> SessionStatus:
    return SessionStatus(
        required=keys_required(Context.current()),
        signed_in=session is not None,
        csrf_token=session.csrf_token if session else None,
    )
