"""Signed session cookies for pages: EventSource and <img> cannot send an Authorization header.

A cookie is signed with the API key that opened it, so every process can check it, and it ends with its key. Redis
stores revoked sessions only. Not Flask's session: it signs with one SECRET_KEY, and a session would survive its key.
"""

import hashlib
import hmac
import secrets
from typing import Final, NamedTuple

from flask import Response, request
from itsdangerous import BadData, Signer, URLSafeTimedSerializer
from pydantic import SecretStr

from shared.revoked_sessions import RevokedSessions
from shared.settings import Settings

NAME: Final = "easel_session"
_LIFETIME_SECONDS: Final = 30 * 24 * 3600
_CLOCK_SKEW_SECONDS: Final = 3600  # a revocation outlives its cookie by this, as clocks of hosts differ


class Session(NamedTuple):
    """The session of a browser that signed in with `key`."""

    id: str
    key: SecretStr
    csrf_token: str

    def has_csrf_token(self) -> bool:
        """Return whether the current request has the token, which pages of other sites cannot read."""
        return hmac.compare_digest(request.headers.get("X-CSRF-Token", "").encode(), self.csrf_token.encode())


def load(settings: Settings, revoked_sessions: RevokedSessions) -> Session | None:
    """Return the session of the current request; None if there is none, or it is forged, expired or revoked.

    Raises LedgerUnavailable if revocation cannot be checked.
    """
    cookie = request.cookies.get(NAME, "")
    candidates = (_verify(cookie, key) for key in settings.api_keys)
    session = next((session for session in candidates if session is not None), None)
    return None if session and revoked_sessions.contains(session.id) else session


def create(key: SecretStr) -> tuple[Session, str]:
    """Return a new session for this key, and its cookie's value."""
    session_id = secrets.token_urlsafe(16)
    return _session(session_id, key), str(_serializer(key).dumps(session_id))


def revoke(session: Session, revoked_sessions: RevokedSessions) -> None:
    """Make all copies of the session's cookie invalid. Raises LedgerUnavailable, LedgerReadOnly."""
    revoked_sessions.add(session.id, ttl_seconds=_LIFETIME_SECONDS + _CLOCK_SKEW_SECONDS)


def set_cookie(response: Response, value: str) -> None:
    """Set the cookie in the browser, for requests of this site's own pages."""
    _set_cookie(response, value, _LIFETIME_SECONDS)


def delete_cookie(response: Response) -> None:
    """Delete the cookie in the browser."""
    _set_cookie(response, "", 0)


def _set_cookie(response: Response, value: str, max_age: int) -> None:
    """Set it Secure if the browser uses TLS.

    A proxy that ends TLS says so with X-Forwarded-Proto, which gunicorn trusts from FORWARDED_ALLOW_IPS.
    """
    response.set_cookie(NAME, value, max_age=max_age, httponly=True, samesite="Strict", secure=request.is_secure)


def _verify(cookie: str, key: SecretStr) -> Session | None:
    try:
        session_id = _serializer(key).loads(cookie, max_age=_LIFETIME_SECONDS)
    except BadData:
        return None
    return _session(str(session_id), key)


def _session(session_id: str, key: SecretStr) -> Session:
    signer = Signer(key.get_secret_value(), salt="easel csrf", digest_method=hashlib.sha256)
    return Session(session_id, key, signer.get_signature(session_id).decode())


def _serializer(key: SecretStr) -> URLSafeTimedSerializer:
    options = {"digest_method": hashlib.sha256}
    return URLSafeTimedSerializer(key.get_secret_value(), salt="easel session", signer_kwargs=options)
