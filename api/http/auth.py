"""Authentication: by one of the service's keys; without keys, for this machine only."""

import hmac
import ipaddress
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from flask import g, request
from pydantic import SecretStr
from werkzeug.exceptions import NotFound

from api.context import Context
from api.http import session_cookie
from shared.errors import CsrfFailed, Forbidden, Unauthorized
from shared.settings import InvalidSettings, Settings

_PAGES: Final = frozenset({"pages.studio", "pages.queue", "pages.gallery", "pages.asset"})
_SESSION: Final = frozenset({"session.get_session", "session.sign_in", "session.sign_out"})
PUBLIC: Final = frozenset({"health.healthz", "health.readyz", "docs.openapi", "docs.docs", *_PAGES, *_SESSION})
"""Endpoints that need no key."""
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PROXY_HEADERS: Final = frozenset(
    {"HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP", "HTTP_VIA", "HTTP_FORWARDED"}
)
"""Headers that proxies add, as WSGI names them. Behind a local proxy, a client may be on any machine."""


def check_exposure(settings: Settings) -> None:
    """Refuse to listen beyond loopback without keys. Raises InvalidSettings."""
    if not settings.api_keys and not is_loopback(settings.host):
        raise InvalidSettings(
            f"EASEL_HOST={settings.host} would give everyone access. Set EASEL_API_KEYS to one or more long random "
            "keys, separated by commas, or set EASEL_HOST=127.0.0.1."
        )


def authorize() -> None:
    """Authorize each request, except to read an unknown URL, whose response is the same for everyone.

    Sets `g.caller`, and `g.session` if the request has a session cookie. Raises Unauthorized, Forbidden, CsrfFailed;
    LedgerUnavailable if a cookie cannot be checked.
    """
    settings = Context.current().settings
    g.caller = f"address {request.remote_addr}"
    if not settings.api_keys:
        _require_local_request()
    elif request.endpoint not in PUBLIC and not _reads_unknown_url():
        g.caller = _caller_of_key(settings) if "Authorization" in request.headers else _caller_of_cookie(settings)


def find_key(text: str, settings: Settings) -> SecretStr | None:
    """Return the key that equals `text`. Compares with all keys, each in constant time, so timing leaks nothing."""
    matches = [key for key in settings.api_keys if _equals(text, key.get_secret_value())]
    return matches[0] if matches else None


@lru_cache(maxsize=256)  # few hosts and addresses, in every request
def is_loopback(host: str) -> bool:
    """Return whether this host name or address is this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _caller_of_key(settings: Settings) -> str:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    key = find_key(text.strip(), settings)
    if scheme.lower() != "bearer":
        raise Unauthorized("Send an API key as `Authorization: Bearer <key>`.")
    if key is None:
        raise Unauthorized("This is not one of the service's API keys.")
    return _caller(key, settings)


def _caller_of_cookie(settings: Settings) -> str:
    session = session_cookie.load(settings, Context.current().services.revoked_sessions)
    if session is None:
        raise Unauthorized("Send an API key as `Authorization: Bearer <key>`, or sign in on a page.")
    if request.method not in _SAFE_METHODS and not session.has_csrf_token():
        raise CsrfFailed
    g.session = session
    return _caller(session.key, settings)


def _caller(key: SecretStr, settings: Settings) -> str:
    """Return one name per key, since a client can open any number of sessions."""
    return f"key {settings.api_keys.index(key)}"


def _equals(text: str, key: str) -> bool:
    return hmac.compare_digest(text.encode(errors="surrogatepass"), key.encode())


def _reads_unknown_url() -> bool:
    return request.method in {"GET", "HEAD"} and isinstance(request.routing_exception, NotFound)


def _require_local_request() -> None:
    """Refuse other machines, and pages of other sites in a local browser (DNS rebinding, CSRF)."""
    if request.remote_addr and not is_loopback(request.remote_addr):
        raise Forbidden("Without EASEL_API_KEYS only this machine has access. Set keys to give others access.")
    if not request.environ.keys().isdisjoint(_PROXY_HEADERS):
        raise Forbidden("Without EASEL_API_KEYS requests through a proxy are refused. Set keys to allow them.")
    if not is_loopback(_hostname(f"//{request.host}")):
        raise Forbidden("The Host header names another machine. Use 127.0.0.1 or localhost, or set EASEL_API_KEYS.")
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    if origin is not None and not is_loopback(_hostname(origin)):
        raise Forbidden("The Origin header names another site. Only pages of this machine may change anything.")


@lru_cache(maxsize=256)
def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
