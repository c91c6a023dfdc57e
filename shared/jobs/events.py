"""Job events in Redis Streams: appended by the fenced scripts in shared/ledger/scripts, replayable from any ID."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis

from shared.redis_client import NAMESPACE, translate_errors

FIRST_EVENT_ID: Final = "0-0"
"""Sorts before every event."""


@dataclass(frozen=True)
class StoredEvent:
    """One event of a job, with the kinds and data of easel.events."""

    id: str
    kind: str  # state, progress, preview, warning, lease_lost, cancel_requested, finish_requested, acknowledged
    data: dict[str, Any]


class JobEvents:
    """Reads event streams. `client` must have a longer socket timeout than `wait` blocks."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says

    def since(self, job_id: str, after: str = FIRST_EVENT_ID) -> list[StoredEvent]:
        """Return all events after the ID `after`, oldest first."""
        with translate_errors():
            entries = self._redis.xrange(_key(job_id), min=f"({after}")
        return [_event(event_id, fields) for event_id, fields in entries]

    def last_id(self, job_id: str) -> str:
        """Return the ID of the last event; FIRST_EVENT_ID if there is none."""
        with translate_errors():
            entries = self._redis.xrevrange(_key(job_id), count=1)
        return str(entries[0][0]) if entries else FIRST_EVENT_ID

    def wait(self, after: Mapping[str, str], *, seconds: float = 1.0) -> dict[str, list[StoredEvent]]:
        """Block until there is an event after one of these IDs; return new events by job, or nothing on timeout."""
        streams = {_key(job_id): event_id for job_id, event_id in after.items()}
        with translate_errors(blocking=True):
            reply: Any = self._redis.xread(streams, block=int(seconds * 1000))
        by_stream = reply.items() if isinstance(reply, dict) else reply or []
        return {_job_id(key): [_event(*entry) for entry in _flatten(entries)] for key, entries in by_stream}


def event_order(event_id: str) -> tuple[int, int]:
    """Return a sort key for event IDs: as text, 9-0 comes after 10-0."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)


def _key(job_id: str) -> str:
    return f"{NAMESPACE}:events:{job_id}"


def _job_id(key: str) -> str:
    return key.rpartition(":")[2]


def _flatten(entries: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """RESP3 nests a stream's entries one list deeper than RESP2."""
    for entry in entries:
        if isinstance(entry[0], str):
            yield entry
        else:
            yield from _flatten(entry)


def _event(event_id: str, fields: dict[str, str]) -> StoredEvent:
    return StoredEvent(id=event_id, kind=fields["kind"], data=json.loads(fields["data"]))
