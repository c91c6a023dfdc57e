"""The sessions that were signed out before their cookies grew old."""

from typing import Any

import redis

from shared.redis_client import NAMESPACE, translated


class RevokedSessions:
    """One key in Redis for each. Where Redis loses its memory, those cookies open again what they opened before."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its answers as bytes or str whatever decode_responses says

    def add(self, session_id: str, *, for_seconds: int) -> None:
        """Remember it for as long as its cookie might last. Raises LedgerUnavailable, LedgerReadOnly."""
        with translated():
            self._redis.set(_key(session_id), "", ex=for_seconds)

    def has(self, session_id: str) -> bool:
        """Whether it was signed out. Raises LedgerUnavailable."""
        with translated():
            return bool(self._redis.exists(_key(session_id)))


def _key(session_id: str) -> str:
    return f"{NAMESPACE}:signed_out:{session_id}"
