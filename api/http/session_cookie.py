"""Signed session cookies for pages: EventSource and <img> cannot send an Authorization header.

A cookie is signed with the API key that opened it (`Caller.signing_key`), so every process can check it, and it ends
with its key. Redis stores revoked sessions only. Not Flask's session: it signs with one SECRET_KEY, and a session
would survive its key.
"""

import hashlib
import hmac
import secrets
from typing import Any, Final, NamedTuple

from flask import Response, request
from itsdangerous import BadData, Signer, URLSafeTimedSerializer

from api.context import Context
from api.http.callers import Caller
from api.http.security_headers import reached_by_tls

NAME: Final = "easel_session"
_LIFETIME_SECONDS: Final = 30 * 24 * 3600
_CLOCK_SKEW_SECONDS: Final = 3600  # a revocation outlives its cookie by this, as clocks of hosts differ


class Session(NamedTuple):
    """The session of a browser that signed in with the key of `caller`."""

    id: str
    caller: Caller
    csrf_token: str

    def has_csrf_token(self) -> bool:
        """Return whether the current request has the token, which pages of other sites cannot read."""
        return hmac.compare_digest(request.headers.get("X-CSRF-Token", "").encode(), self.csrf_token.encode())


def load() -> Session | None:
    """Return the session of the current request; None if there is none, or it is forged, expired or revoked.

    Raises LedgerUnavailable if it cannot be checked, StorageUnavailable if a stored key cannot.
    """
    cookie = request.cookies.get(NAME, "")
    if not cookie:
        return None
    context = Context.current()
    services, salt = context.services, context.services.signing_secret.get()
    signers = context.callers.possible_signers(_key_prefix(cookie))
    candidates = (_verify(cookie, caller, salt) for caller in signers)
    session = next((session for session in candidates if session is not None), None)
    return None if session and services.revoked_sessions.contains(session.id) else session


def create(caller: Caller) -> tuple[Session, str]:
    """Return a new session of this caller, and its cookie's value. Raises LedgerUnavailable, LedgerReadOnly."""
    salt = Context.current().services.signing_secret.get()
    session_id, key = secrets.token_urlsafe(16), caller.signing_key(salt, "session")
    content = [session_id, caller.key_prefix] if caller.key_prefix else session_id
    return _session(session_id, caller, key), str(_serializer(key).dumps(content))


def revoke(session: Session) -> None:
    """Make all copies of the session's cookie invalid. Raises LedgerUnavailable, LedgerReadOnly."""
    revoked_sessions = Context.current().services.revoked_sessions
    revoked_sessions.add(session.id, ttl_seconds=_LIFETIME_SECONDS + _CLOCK_SKEW_SECONDS)


def set_cookie(response: Response, value: str, max_age: int = _LIFETIME_SECONDS) -> None:
    """Set the cookie in the browser, for requests of this site's own pages. It is Secure if the browser uses TLS."""
    response.set_cookie(NAME, value, max_age=max_age, httponly=True, samesite="Strict", secure=reached_by_tls())


def delete_cookie(response: Response) -> None:
    """Delete the cookie in the browser."""
    set_cookie(response, "", max_age=0)


def _key_prefix(cookie: str) -> str | None:
    """Return the prefix of the stored key that the cookie names; None if it names none. Nothing is verified yet."""
    match _serializer(b"").loads_unsafe(cookie):
        case (_, [str(), str(prefix)]):
            return prefix
    return None


def _verify(cookie: str, caller: Caller, salt: bytes) -> Session | None:
    key = caller.signing_key(salt, "session")
    try:
        content: Any = _serializer(key).loads(cookie, max_age=_LIFETIME_SECONDS)
    except BadData:
        return None
    return _session(content if isinstance(content, str) else content[0], caller, key)


def _session(session_id: str, caller: Caller, key: bytes) -> Session:
    signer = Signer(key, salt="easel csrf", digest_method=hashlib.sha256)
    return Session(session_id, caller, signer.get_signature(session_id).decode())


def _serializer(key: bytes) -> URLSafeTimedSerializer:
    options = {"digest_method": hashlib.sha256}
    return URLSafeTimedSerializer(key, salt="easel session", signer_kwargs=options)
