"""The quota of requests of each tenant, with the header fields of draft-ietf-httpapi-ratelimit-headers-10."""

from contextlib import suppress

from flask import Response, g, request

from api.context import Context
from api.http.auth import PUBLIC
from shared.errors import LedgerUnavailable, RateLimited


def limit_requests() -> None:
    """Count the request, except for endpoints that need no key. Raises RateLimited, StorageUnavailable.

    While Redis is away, nothing is counted: those requests that need it fail anyway.
    """
    if request.endpoint is None or request.endpoint in PUBLIC:
        return
    context, tenant = Context.current(), g.caller.tenant
    per_second = context.quotas.get(tenant).requests_per_second
    if not per_second:
        return
    with suppress(LedgerUnavailable):
        g.rate_limit = context.services.request_counter.count(tenant, per_second)
        if not g.rate_limit.allowed:
            raise RateLimited(
                f"Your quota of requests is {g.rate_limit.quota} in {g.rate_limit.window_seconds} seconds. "
                "Send fewer: event streams and long polls need one request each.",
                retry_after_seconds=max(1, g.rate_limit.retry_seconds),
            )


def send_rate_limit(response: Response) -> Response:
    """Send the quota and what is left of it, if there is one."""
    if limit := g.get("rate_limit"):
        response.headers["RateLimit-Policy"] = f'"requests";q={limit.quota};w={limit.window_seconds}'
        response.headers["RateLimit"] = f'"requests";r={limit.left};t={limit.full_seconds}'
    return response
