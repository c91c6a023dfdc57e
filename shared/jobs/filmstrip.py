"""The previews of a job in the order of its steps, written inside the fenced act (shared/ledger/scripts/renew.lua)."""

from typing import Any, NamedTuple

import redis

from shared.redis_client import NAMESPACE, translated


class Still(NamedTuple):
    """One picture of the strip."""

    step: int
    at: float  # seconds since the epoch, when it was named
    key: str  # of its blob


class Filmstrip:
    """Reads strips. One begins anew where Redis lost its memory."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its answers as bytes or str whatever decode_responses says

    def of(self, job_id: str) -> list[Still]:
        """All stills of a job, by step; one that was painted again after a fault stands here as it was last."""
        with translated():
            found = self._redis.hgetall(_key(job_id))
        return sorted(_still(step, told) for step, told in found.items())

    def at(self, job_id: str, step: int) -> Still | None:
        """The still of this step, if there is one."""
        with translated():
            told = self._redis.hget(_key(job_id), str(step))
        return _still(step, told) if told else None


def _key(job_id: str) -> str:
    return f"{NAMESPACE}:previews:{job_id}"


def _still(step: str | int, told: str) -> Still:
    at, _, key = told.partition(" ")
    return Still(int(step), float(at), key)
