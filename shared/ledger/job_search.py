"""Pages of jobs, newest first, that match a filter; each page reads a bounded number of records."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import redis

from easel.models import JobState
from shared.redis_client import NAMESPACE, translate_errors

SCAN_LIMIT: Final = 1000
"""Jobs whose request one page reads at most, if they are filtered by what no index has."""
_CHUNK: Final = 250  # of them, in one round trip
_BATCH_SUBMISSION: Final = timedelta(minutes=1)
"""From the ID of a batch to those of its jobs, which are made together."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """What all jobs of a list have in common."""

    tenant: str
    state: JobState | None = None
    created_after: datetime | None = None  # at or after
    created_before: datetime | None = None
    preset: str | None = None
    batch: str | None = None  # its ID
    metadata: Mapping[str, str] = field(default_factory=dict)  # at least these

    @property
    def reads_requests(self) -> bool:
        """Whether an index does not suffice: those have states and, as the IDs are UUIDv7, times."""
        return self.preset is not None or self.batch is not None or bool(self.metadata)

    def matches(self, request: Mapping[str, Any]) -> bool:
        """Return whether a stored request has the preset, the batch and the metadata."""
        has_preset = self.preset is None or request["recipe"]["preset"] == self.preset
        has_batch = self.batch is None or request.get("batch") == self.batch
        return has_preset and has_batch and set(self.metadata.items()) <= set(request.get("metadata", {}).items())


@dataclass(frozen=True)
class JobIdPage:
    """A page of IDs. Unless `next_before` is None there may be more, before that ID, even if the page is empty."""

    ids: Sequence[str]
    next_before: str | None


class JobSearch:
    """Finds jobs. Safe to share between threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says

    def page(self, job_filter: JobFilter, *, limit: int, before: str | None = None) -> JobIdPage:
        """Return up to `limit` jobs that match, newest first, older than the job `before`.

        Takes one ZRANGE; if requests are read, up to four, and SCAN_LIMIT times HGET.
        """
        found: list[str] = []
        scanned, chunk = 0, min(_CHUNK, SCAN_LIMIT) if job_filter.reads_requests else limit + 1
        while len(found) <= limit:
            if scanned >= SCAN_LIMIT:
                return JobIdPage(found, before)
            with translate_errors():
                ids = self._list_ids(job_filter, chunk, before)
                found += self._select(job_filter, ids) if job_filter.reads_requests else ids
            if len(ids) < chunk and len(found) <= limit:
                return JobIdPage(found, None)
            scanned, before = scanned + len(ids), ids[-1]
        return JobIdPage(found[:limit], found[limit - 1])

    def _list_ids(self, job_filter: JobFilter, limit: int, before: str | None) -> list[str]:
        index = f"{NAMESPACE}:tenant:{job_filter.tenant}:jobs" + (f":{job_filter.state}" if job_filter.state else "")
        batch = job_filter.batch
        last = batch and _lowest_id(id_time(batch) + _BATCH_SUBMISSION)
        upper = min(filter(None, (before, last, _lowest_id(job_filter.created_before))), default=None)
        newest = f"({upper}" if upper else "+"
        lower = max(filter(None, (batch, _lowest_id(job_filter.created_after))), default=None)
        oldest = f"[{lower}" if lower else "-"
        ids: list[str] = self._redis.zrange(index, newest, oldest, desc=True, bylex=True, offset=0, num=limit)
        return ids

    def _select(self, job_filter: JobFilter, ids: Iterable[str]) -> list[str]:
        pipe = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipe.hget(f"{NAMESPACE}:job:{job_id}", "request")
        stored = zip(ids, pipe.execute(), strict=True)
        return [job_id for job_id, request in stored if request and job_filter.matches(json.loads(request))]


def _lowest_id(at: datetime | None) -> str | None:
    """Return the beginning of the lowest UUIDv7 at or after this time: its first 48 bits are milliseconds."""
    if at is None:
        return None
    milliseconds = f"{max(0, -((_EPOCH - at) // _MILLISECOND)):012x}"  # rounded up
    return f"{milliseconds[:8]}-{milliseconds[8:]}"


def id_time(uuid7: str) -> datetime:
    """Return the time in a UUIDv7, in whole milliseconds."""
    return _EPOCH + int(uuid7[:13].replace("-", ""), 16) * _MILLISECOND
