"""Who may call: the holders of a key; without keys, this machine alone."""

import hmac
import ipaddress
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from flask import g, request
from pydantic import SecretStr

from api.context import here
from api.http import session_cookie
from shared.errors import CsrfFailed, Forbidden, Unauthorized
from shared.settings import Settings

_PAGES: Final = frozenset({"pages.studio", "pages.queue", "pages.gallery", "pages.asset"})
SIGNING_IN: Final = frozenset({"session.get_session", "session.sign_in", "session.sign_out"})
PUBLIC: Final = frozenset({"health.healthz", "health.readyz", "docs.openapi", "docs.docs", *_PAGES, *SIGNING_IN})
"""Endpoints that anyone may call who reaches the server."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PASSED_ON: Final = frozenset(
    {"HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP", "HTTP_VIA", "HTTP_FORWARDED"}
)
"""Headers that proxies add, as WSGI names them: who sent the request may be anywhere, though the proxy is here."""


def check_exposure(settings: Settings) -> None:
    """Refuse to listen beyond loopback without keys. Raises ValueError."""
    if not settings.api_keys and not is_loopback(settings.host):
        raise ValueError(
            f"EASEL_HOST={settings.host} would let anyone in: set EASEL_API_KEYS to one or more long random keys, "
            "separated by commas, or EASEL_HOST=127.0.0.1."
        )


def authorize() -> None:
    """Before every request; leaves who calls in `g.caller`, and by which cookie, if by one, in `g.session`.

    Raises Unauthorized, Forbidden, CsrfFailed; LedgerUnavailable where a cookie cannot be judged.
    """
    settings = here().settings
    g.caller = f"address {request.remote_addr}"
    if not settings.api_keys:
        _stay_at_home()
    elif request.endpoint not in PUBLIC:
        g.caller = _by_key(settings) if "Authorization" in request.headers else _by_cookie(settings)


def key_of(sent: str, settings: Settings) -> SecretStr | None:
    """The service's key that was sent. All are compared, each in constant time, so the time taken tells nothing."""
    matches = [key for key in settings.api_keys if _same(sent, key.get_secret_value())]
    return matches[0] if matches else None


@lru_cache(maxsize=256)  # the same few hosts and addresses in every request
def is_loopback(host: str) -> bool:
    """Whether this host name or address means this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _by_key(settings: Settings) -> str:
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    key = key_of(sent.strip(), settings)
    if scheme.lower() != "bearer" or key is None:
        raise Unauthorized("Send one of the service's keys as `Authorization: Bearer <key>`.")
    return _holder(key, settings)


def _by_cookie(settings: Settings) -> str:
    session = session_cookie.read(settings, here().services.revoked_sessions)
    if session is None:
        raise Unauthorized("Send one of the service's keys as `Authorization: Bearer <key>`, or sign in on a page.")
    if request.method not in _SAFE and not session.sent_by_its_page():
        raise CsrfFailed
    g.session = session
    return _holder(session.key, settings)


def _holder(key: SecretStr, settings: Settings) -> str:
    """The same however the key comes: one can have any number of sessions."""
    return f"key {settings.api_keys.index(key)}"


def _same(sent: str, key: str) -> bool:
    return hmac.compare_digest(sent.encode(errors="surrogatepass"), key.encode())


def _stay_at_home() -> None:
    """Against other machines, and against pages of other sites that a browser here shows (DNS rebinding, CSRF)."""
    if request.remote_addr and not is_loopback(request.remote_addr):
        raise Forbidden("Without EASEL_API_KEYS only this machine may call; set keys to let others in.")
    if not request.environ.keys().isdisjoint(_PASSED_ON):
        raise Forbidden("Without EASEL_API_KEYS no proxy may pass on requests; set EASEL_API_KEYS to let others in.")
    if not is_loopback(_name(f"//{request.host}")):
        raise Forbidden("The Host header names another machine; call 127.0.0.1 or localhost, or set EASEL_API_KEYS.")
    if request.method in _SAFE:
        return
    origin = request.headers.get("Origin")
    if origin is not None and not is_loopback(_name(origin)):
        raise Forbidden("The Origin header names another site; only pages from this machine may steer jobs.")


@lru_cache(maxsize=256)
def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
