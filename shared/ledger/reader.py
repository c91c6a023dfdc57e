"""The job records in Redis, as read. All lists are sorted sets, whose members are IDs."""

from collections.abc import Sequence
from typing import Any

import redis

from easel.models import JobState
from shared.errors import JobNotFound, LedgerLost
from shared.jobs.job import DEFAULT_TENANT, Job
from shared.jobs.record import parse_or_none, parse_record
from shared.redis_client import NAMESPACE, translate_errors


class LedgerReader:
    """The part of the ledger that changes nothing. Every method raises LedgerUnavailable if Redis does not respond."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says

    def identity(self) -> str | None:
        """Return the ledger's ID, or None if Redis lost it or never had one."""
        with translate_errors():
            identity: str | None = self._redis.get(f"{NAMESPACE}:ledger")
        return identity

    def find_by_idempotency_key(self, idempotency_key: str, tenant: str = DEFAULT_TENANT) -> tuple[str, str] | None:
        """Return (digest, ID) of the first job or batch with this key; None if there is none or it expired."""
        of_tenant = "" if tenant == DEFAULT_TENANT else f"tenant:{tenant}:"
        with translate_errors():
            value: str | None = self._redis.get(f"{NAMESPACE}:{of_tenant}idempotency:{idempotency_key}")
        digest, _, job_id = (value or "").partition(" ")
        return (digest, job_id) if job_id else None

    def get(self, job_id: str) -> Job:
        """Return the job. Raises JobNotFound; LedgerLost if Redis lost its data."""
        with translate_errors():
            fields = self._redis.hgetall(f"{NAMESPACE}:job:{job_id}")
        if fields:
            return parse_record(fields)
        if self.identity() is None:
            raise LedgerLost
        raise JobNotFound.of(job_id)

    def get_many(self, ids: Sequence[str]) -> Sequence[Job]:
        """Return those of these jobs that exist, in the same order."""
        pipe = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipe.hgetall(f"{NAMESPACE}:job:{job_id}")
        with translate_errors():
            records = pipe.execute()
        return [job for fields in records if fields and (job := parse_or_none(fields))]

    def batch_ids(self, batch_id: str) -> Sequence[str]:
        """Return the jobs of a batch in its order, without deleted ones; none if there is no such batch."""
        with translate_errors():
            ids: Sequence[str] = self._redis.zrange(f"{NAMESPACE}:batch:{batch_id}", 0, -1)
        return ids

    def exists(self, job_id: str) -> bool:
        """Return whether there is a record; False also if Redis lost its data."""
        with translate_errors():
            return bool(self._redis.exists(f"{NAMESPACE}:job:{job_id}"))

    def list(self, *, tenant: str | None = None, state: JobState | None = None, limit: int = 50) -> list[Job]:
        """Return the newest jobs of one or of all tenants, up to `limit`."""
        return [*self.get_many(self.list_ids(tenant=tenant, state=state, limit=limit))]

    def list_ids(self, *, tenant: str | None = None, state: JobState | None = None, limit: int) -> Sequence[str]:
        """Like `list`, but return IDs."""
        index = NAMESPACE + (f":tenant:{tenant}" if tenant else "") + ":jobs" + (f":{state}" if state else "")
        with translate_errors():
            ids: Sequence[str] = self._redis.zrange(index, "+", "-", desc=True, bylex=True, offset=0, num=limit)
        return ids

    def list_unfinalized_ids(self, *, older_than_seconds: float) -> Sequence[str]:
        """Return the jobs that ended at least this long ago and have no final.json in the blob store yet."""
        return self._list_ended_ids("unfinalized", older_than_seconds)

    def list_completed_ids(self, *, older_than_seconds: float, limit: int) -> Sequence[str]:
        """Return up to `limit` jobs that ended at least this long ago, oldest first."""
        return self._list_ended_ids("completed", older_than_seconds, start=0, num=limit)

    def _list_ended_ids(self, index: str, older_than_seconds: float, **page: int) -> Sequence[str]:
        with translate_errors():
            seconds, micros = self._redis.time()
            until = seconds + micros / 1e6 - older_than_seconds
            ids: Sequence[str] = self._redis.zrangebyscore(f"{NAMESPACE}:{index}", "-inf", until, **page)
        return ids
