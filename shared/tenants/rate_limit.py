"""Counts the requests of tenants in Redis, so that all API processes share one quota."""

import math
from dataclasses import dataclass
from typing import Any, Final

import redis

from shared.redis_client import NAMESPACE, load_script, translate_errors

WINDOW_SECONDS: Final = 10
"""A page sends several requests at once. So the requests of this time may come at any moment of it."""


@dataclass(frozen=True)
class RateLimit:
    """The quota of a tenant after a request."""

    allowed: bool
    quota: int  # requests in `window_seconds`
    window_seconds: int
    left: int
    full_seconds: int  # until all of the quota is available
    retry_seconds: int  # until one more request is, if this one was refused


class RequestCounter:
    """Safe to share between threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._script = client.register_script(load_script("count_request"))

    def count(self, tenant: str, per_second: float) -> RateLimit:
        """Count a request, unless the tenant has none left. Raises LedgerUnavailable."""
        quota = max(1, math.floor(per_second * WINDOW_SECONDS))
        with translate_errors():
            reply: Any = self._script(keys=[NAMESPACE], args=(tenant, quota / WINDOW_SECONDS, WINDOW_SECONDS))
        allowed, left, full_seconds, retry_seconds = reply
        return RateLimit(bool(allowed), quota, WINDOW_SECONDS, left, full_seconds, retry_seconds)
