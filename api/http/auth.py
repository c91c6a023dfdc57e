"""Authentication: by a key and its scopes; without keys, for this machine only."""

import ipaddress
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import structlog
from flask import current_app, g, request
from werkzeug.exceptions import NotFound

from api.context import Context
from api.http import session_cookie
from api.http.callers import Caller
from api.http.operations import OPERATIONS
from shared.errors import CsrfFailed, Forbidden, Unauthorized
from shared.services import open_blobs
from shared.settings import InvalidSettings, Settings
from shared.tenants.keys import Scope, any_key_exists

_PAGES: Final = frozenset({"pages.studio", "pages.queue", "pages.gallery", "pages.asset"})
_SESSION: Final = frozenset({"session.get_session", "session.sign_in", "session.sign_out"})
_UNCHECKED: Final = frozenset({"health.healthz", "health.readyz", "docs.openapi", "docs.docs"})
PUBLIC: Final = frozenset({*_UNCHECKED, "shares.get_shared", *_PAGES, *_SESSION})
"""Endpoints that need no key. A share link is checked by its view."""
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PROXY_HEADERS: Final = frozenset(
    {"HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP", "HTTP_VIA", "HTTP_FORWARDED"}
)
"""Headers that proxies add, as WSGI names them. Behind a local proxy, a client may be on any machine."""


def check_exposure(settings: Settings) -> None:
    """Refuse to listen beyond loopback without keys. Raises InvalidSettings, StorageUnavailable."""
    if not settings.api_keys and not is_loopback(settings.host) and not any_key_exists(open_blobs(settings)):
        raise InvalidSettings(
            f"EASEL_HOST={settings.host} would give everyone access. Set EASEL_API_KEYS to one or more long random "
            "keys, separated by commas, create a key with `easel-worker keys create`, or set EASEL_HOST=127.0.0.1."
        )


def keys_required(context: Context, *, wait: bool = True) -> bool:
    """Return whether only requests with a key are accepted: if there are any. Raises StorageUnavailable if it waits."""
    settings = context.settings
    return bool(settings.api_keys) or not is_loopback(settings.host) or context.callers.any_stored(wait=wait)


def authorize() -> None:
    """Authorize each request, except to read an unknown URL, whose response is the same for everyone.

    Sets `g.caller`, and `g.session` if the request has a session cookie. Raises Unauthorized, Forbidden, CsrfFailed,
    InsufficientScope; LedgerUnavailable or StorageUnavailable if a cookie or a key cannot be checked.
    """
    context, public = Context.current(), request.endpoint in PUBLIC
    g.caller = Caller(f"address {request.remote_addr}")
    if not keys_required(context, wait=not public):
        _require_local_request()
    elif public or _reads_unknown_url():
        return
    else:
        g.caller = _caller_of_key(context) if "Authorization" in request.headers else _caller_of_cookie()
        if request.endpoint:
            g.caller.require(_scope(request.endpoint))
    structlog.contextvars.bind_contextvars(tenant=g.caller.tenant)


def check_still_authorized(context: Context, caller: Caller) -> None:
    """Check a request that stays open. Raises StorageUnavailable, and Unauthorized if its key was revoked meanwhile.

    Or, if it has no key, because the first key was created.
    """
    if caller.secret is None and keys_required(context):
        raise Unauthorized("Requests need an API key now.")
    context.callers.check(caller)


@lru_cache(maxsize=256)  # few hosts and addresses, in every request
def is_loopback(host: str) -> bool:
    """Return whether this host name or address is this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _caller_of_key(context: Context) -> Caller:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("Send an API key as `Authorization: Bearer <key>`.")
    return context.callers.find(text.strip())


def _caller_of_cookie() -> Caller:
    session = session_cookie.load()
    if session is None:
        raise Unauthorized("Send an API key as `Authorization: Bearer <key>`, or sign in on a page.")
    if request.method not in _SAFE_METHODS and not session.has_csrf_token():
        raise CsrfFailed
    g.session = session
    return session.caller


def _scope(endpoint: str) -> Scope:
    doc = OPERATIONS[current_app.view_functions[endpoint]]
    return doc.scope or ("read" if request.method in _SAFE_METHODS else "jobs")


def _reads_unknown_url() -> bool:
    return request.method in {"GET", "HEAD"} and isinstance(request.routing_exception, NotFound)


def _require_local_request() -> None:
    """Refuse other machines, and pages of other sites in a local browser (DNS rebinding, CSRF)."""
    if request.remote_addr and not is_loopback(request.remote_addr):
        raise Forbidden("Without API keys only this machine has access. Set keys to give others access.")
    if not request.environ.keys().isdisjoint(_PROXY_HEADERS):
        raise Forbidden("Without EASEL_API_KEYS, requests through a proxy are refused. Set keys to allow them.")
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
