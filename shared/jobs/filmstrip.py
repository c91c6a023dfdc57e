"""The filmstrip: a job's previews by step. Written by the fenced script shared/ledger/scripts/renew.lua."""

from typing import Any, NamedTuple

import redis

from shared.redis_client import NAMESPACE, translate_errors


class StoredPreview(NamedTuple):
    """One preview of a filmstrip."""

    step: int
    at: float  # seconds since the epoch, when it was published
    key: str  # of its blob


class FilmstripReader:
    """Reads filmstrips. A filmstrip starts over if Redis loses its data."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says

    def previews(self, job_id: str) -> list[StoredPreview]:
        """Return all previews of a job, by step; for a step that was rendered twice, the later one."""
        with translate_errors():
            previews = self._redis.hgetall(_key(job_id))
        return sorted(_parse(step, value) for step, value in previews.items())

    def preview(self, job_id: str, step: int) -> StoredPreview | None:
        """Return the preview of this step, or None."""
        with translate_errors():
            value = self._redis.hget(_key(job_id), str(step))
        return _parse(step, value) if value else None


def _key(job_id: str) -> str:
    return f"{NAMESPACE}:previews:{job_id}"


def _parse(step: str | int, value: str) -> StoredPreview:
    at, _, key = value.partition(" ")
    return StoredPreview(int(step), float(at), key)
