"""Batches whose contact sheet is to be made: a message to make it may be lost, this list is not."""

import time
from collections.abc import Sequence
from typing import Any, Final

import redis

from shared.redis_client import NAMESPACE, translate_errors

_WANTED: Final = f"{NAMESPACE}:contact_sheets"
_REPEAT_SECONDS: Final = 300
"""After which the task is sent again: longer than a contact sheet takes. Making one twice does no harm."""
_RETRY_SECONDS: Final = 30
"""After which the task is sent again if it failed."""
_MAX_DUE: Final = 20


class ContactSheets:
    """Safe to share between threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says

    def wanted(self) -> Sequence[str]:
        """Return the batches that have waited longest, at most 20."""
        with translate_errors():
            ids: Sequence[str] = self._redis.zrange(_WANTED, 0, _MAX_DUE - 1)
        return ids

    def request(self, batch_id: str) -> bool:
        """Add the batch; return whether to send the task that makes its sheet, which others did not do just now."""
        with translate_errors():
            self._redis.zadd(_WANTED, {batch_id: time.time()}, nx=True)
            return bool(self._redis.set(_lease(batch_id), 1, nx=True, ex=_REPEAT_SECONDS))

    def done(self, batch_id: str) -> None:
        """Remove the batch: its sheet is stored, has become another one, or cannot be made."""
        with translate_errors():
            self._redis.zrem(_WANTED, batch_id)
            self._redis.delete(_lease(batch_id))

    def retry(self, batch_id: str) -> None:
        """Have the task sent again soon."""
        with translate_errors():
            self._redis.expire(_lease(batch_id), _RETRY_SECONDS)


def _lease(batch_id: str) -> str:
    return f"{NAMESPACE}:contact_sheet:{batch_id}"
