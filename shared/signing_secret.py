"""A secret in Redis, mixed into every key that signs session cookies and share links (api/http/callers.py)."""

import secrets
from typing import Any, Final

import redis

from shared.redis_client import NAMESPACE, translate_errors

_KEY: Final = f"{NAMESPACE}:signing_secret"


class SigningSecret:
    """If Redis loses the secret, or it is rotated, everything that was signed with it is invalid."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says

    def get(self) -> bytes:
        """Return the secret, made when it is first needed.

        Raises LedgerUnavailable; LedgerReadOnly if it cannot be made.
        """
        with translate_errors():
            secret = self._redis.get(_KEY)
            if secret is None:
                secret = secrets.token_hex(32)
                secret = self._redis.set(_KEY, secret, nx=True, get=True) or secret
        return str(secret).encode()

    def rotate(self) -> None:
        """Replace the secret, which ends all sessions and share links. Raises LedgerUnavailable, LedgerReadOnly."""
        with translate_errors():
            self._redis.set(_KEY, secrets.token_hex(32))
