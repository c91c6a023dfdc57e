"""The cookie that stands for a key, for pages: EventSource and <img> can send no bearer.

It is signed with the key itself, so any process can read it, and it ends with its key. Redis remembers only those
that were signed out.
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
_SECONDS: Final = 30 * 24 * 3600
_LONGER: Final = 3600  # seconds that an end is remembered beyond its cookie, since the hosts' clocks differ


class Session(NamedTuple):
    """Of one browser that signed in with `key`."""

    id: str
    key: SecretStr
    csrf_token: str

    def sent_by_its_page(self) -> bool:
        """Whether the request at hand has the token, which pages of other sites cannot read."""
        return hmac.compare_digest(request.headers.get("X-CSRF-Token", "").encode(), self.csrf_token.encode())


def read(settings: Settings, revoked_sessions: RevokedSessions) -> Session | None:
    """The session of the request at hand; None without one, or where it is forged, old, over, or its key is gone.

    Raises LedgerUnavailable where nobody can know whether it is over.
    """
    cookie = request.cookies.get(NAME, "")
    found = (_session(cookie, key) for key in settings.api_keys)
    session = next((session for session in found if session is not None), None)
    return None if session and revoked_sessions.has(session.id) else session


def begin(key: SecretStr) -> tuple[Session, str]:
    """A new session for the holder of this key, and what its cookie says."""
    session_id = secrets.token_urlsafe(16)
    return _with_token(session_id, key), str(_signer(key).dumps(session_id))


def give(response: Response, value: str) -> None:
    """Have the browser keep the cookie, and send it with what our own pages ask for."""
    _set(response, value, _SECONDS)


def end(session: Session, revoked_sessions: RevokedSessions) -> None:
    """No copy of its cookie opens anything from now on. Raises LedgerUnavailable, LedgerReadOnly."""
    revoked_sessions.add(session.id, for_seconds=_SECONDS + _LONGER)


def take_back(response: Response) -> None:
    """Have the browser forget the cookie."""
    _set(response, "", 0)


def _set(response: Response, value: str, seconds: int) -> None:
    """Secure where the browser came by TLS.

    A proxy that ends it says so by X-Forwarded-Proto, which gunicorn believes of the addresses in FORWARDED_ALLOW_IPS.
    """
    response.set_cookie(NAME, value, max_age=seconds, httponly=True, samesite="Strict", secure=request.is_secure)


def _session(cookie: str, key: SecretStr) -> Session | None:
    try:
        session_id = _signer(key).loads(cookie, max_age=_SECONDS)
    except BadData:
        return None
    return _with_token(str(session_id), key)


def _with_token(session_id: str, key: SecretStr) -> Session:
    signer = Signer(key.get_secret_value(), salt="easel csrf", digest_method=hashlib.sha256)
    return Session(session_id, key, signer.get_signature(session_id).decode())


def _signer(key: SecretStr) -> URLSafeTimedSerializer:
    strong = {"digest_method": hashlib.sha256}
    return URLSafeTimedSerializer(key.get_secret_value(), salt="easel session", signer_kwargs=strong)
