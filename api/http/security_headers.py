"""Header fields that tell browsers what a response may do. Every response of the app has them."""

from typing import Final

from flask import Response, request

from api.context import Context

_FIXED: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
    "magnetometer=(), microphone=(), midi=(), payment=(), usb=()",
    "Cache-Control": "no-store",  # else a browser or a proxy may keep what only the key's holder should see
}
_NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""For JSON and pictures: nothing is loaded, run or framed, even if a browser takes one for a page."""
_PAGES: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_YEAR: Final = 365 * 24 * 3600


def send_security_headers(response: Response) -> Response:
    """Add the header fields to the response. Those that a view has set stay."""
    of_a_page = request.blueprint == "pages" or response.mimetype == "text/html"
    defaults = _FIXED | {"Content-Security-Policy": _PAGES if of_a_page else _NOTHING}
    if reached_by_tls():
        defaults["Strict-Transport-Security"] = f"max-age={_YEAR}"
    for name, value in defaults.items():
        response.headers.setdefault(name, value)
    return response


def reached_by_tls() -> bool:
    """Return whether the client uses TLS: a proxy says so, or the operator with EASEL_PUBLIC_URL.

    A proxy that ends TLS sends X-Forwarded-Proto, which gunicorn trusts from FORWARDED_ALLOW_IPS.
    """
    return request.is_secure or (Context.current().settings.public_url or "").startswith("https:")
