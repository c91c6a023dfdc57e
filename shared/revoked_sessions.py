"""Sessions that were signed out before their cookies expired."""

from typing import Any

import redis

from shared.redis_client import NAMESPACE, translate_errors


class RevokedSessions:
    """One Redis key per session. If Redis loses its data, no cookie is valid (shared/signing_secret.py)."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says

    def add(self, session_id: str, *, ttl_seconds: int) -> None:
        """Revoke a session for the remaining lifetime of its cookie. Raises LedgerUnavailable, LedgerReadOnly."""
        with translate_errors():
            self._redis.set(_key(session_id), "", ex=ttl_seconds)

    def contains(self, session_id: str) -> bool:
        """Return whether the session was revoked. Raises LedgerUnavailable."""
        with translate_errors():
            return bool(self._redis.exists(_key(session_id)))


def _key(session_id: str) -> str:
    return f"{NAMESPACE}:revoked_session:{session_id}"
