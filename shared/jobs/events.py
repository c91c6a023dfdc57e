"""A job's story as a Redis Stream: appended inside the fenced acts (shared/ledger/scripts), replayable from any id."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis

from shared.redis_client import NAMESPACE, translated

FIRST: Final = "0-0"
"""The id before the first event."""


@dataclass(frozen=True)
class Event:
    """One line of the story.

    Kinds: state, progress, preview, warning, lease_lost, cancel_requested, finish_requested, acknowledged.
    """

    id: str
    kind: str
    data: dict[str, Any]


class Events:
    """Reads streams. `client` must have a socket timeout of more than what reads may wait."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its answers as bytes or str whatever decode_responses says

    def since(self, job_id: str, after: str = FIRST) -> list[Event]:
        """All events after the id `after`, oldest first."""
        with translated():
            found = self._redis.xrange(_key(job_id), min=f"({after}")
        return [_event(event_id, fields) for event_id, fields in found]

    def last_id(self, job_id: str) -> str:
        """The id of the newest event; FIRST where there is none."""
        with translated():
            found = self._redis.xrevrange(_key(job_id), count=1)
        return str(found[0][0]) if found else FIRST

    def wait(self, after: Mapping[str, str], *, seconds: float = 1.0) -> dict[str, list[Event]]:
        """What came after these ids, by job; waits for the first of it, then gives up with nothing."""
        streams = {_key(job_id): event_id for job_id, event_id in after.items()}
        with translated():
            answer: Any = self._redis.xread(streams, block=int(seconds * 1000))
        found = answer.items() if isinstance(answer, dict) else answer or []
        return {_job(key): [_event(*entry) for entry in _flat(entries)] for key, entries in found}


def rank(event_id: str) -> tuple[int, int]:
    """Ids in their order: as text, 9-0 comes after 10-0."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)


def _key(job_id: str) -> str:
    return f"{NAMESPACE}:events:{job_id}"


def _job(key: str) -> str:
    return key.rpartition(":")[2]


def _flat(entries: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """RESP3 nests a stream's entries one list deeper than RESP2."""
    for entry in entries:
        if isinstance(entry[0], str):
            yield entry
        else:
            yield from _flat(entry)


def _event(event_id: str, fields: dict[str, str]) -> Event:
    return Event(id=event_id, kind=fields["kind"], data=json.loads(fields["data"]))
