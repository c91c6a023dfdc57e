"""Sessions that were signed out before their cookies expired, and a secret that signs cookies."""

import secrets
from typing import Any, Final

import redis

from shared.redis_client import NAMESPACE, translate_errors

_SIGNING_SECRET: Final = f"{NAMESPACE}:session_secret"


class RevokedSessions:
    """One Redis key per session. If Redis loses its data, these cookies become valid again until they expire."""

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

    def signing_secret(self) -> str:
        """Return a secret, made when it is first needed. If Redis loses it, cookies signed with it are invalid.

        Raises LedgerUnavailable; LedgerReadOnly if it cannot be made.
        """
        with translate_errors():
            secret = self._redis.get(_SIGNING_SECRET)
            if secret is None:
                secret = secrets.token_hex(32)
                secret = self._redis.set(_SIGNING_SECRET, secret, nx=True, get=True) or secret
        return str(secret)


def _key(session_id: str) -> str:
    return f"{NAMESPACE}:revoked_session:{session_id}"
