"""A job's story as a Redis Stream: appended inside the fenced acts (shared/lua), replayable from any id."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import redis

from shared.ledger import NAMESPACE, translated

FIRST: Final = "0-0"
"""The id before the first event."""
_BLOCK_MS: Final = 1000


@dataclass(frozen=True)
class Event:
    """One line of the story.

    Kinds: state, progress, preview, warning, lease_lost, cancel_requested, finish_requested, acknowledged.
    """

    id: str
    kind: str
    data: dict[str, Any]


class Events:
    """Reads streams. `client` must have a socket timeout of more than a second: reads block so long at most."""

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

    def wait(self, job_id: str, after: str) -> list[Event]:
        """What came after `after`; waits for it up to a second, then returns an empty list."""
        with translated():
            answer: Any = self._redis.xread({_key(job_id): after}, block=_BLOCK_MS)
        streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer or []]
        return [_event(*entry) for entries in streams for entry in _flat(entries)]


def _key(job_id: str) -> str:
    return f"{NAMESPACE}:events:{job_id}"


def _flat(entries: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """RESP3 nests a stream's entries one list deeper than RESP2."""
    for entry in entries:
        if isinstance(entry[0], str):
            yield entry
        else:
            yield from _flat(entry)


def _event(event_id: str, fields: dict[str, str]) -> Event:
    return Event(id=event_id, kind=fields["kind"], data=json.loads(fields["data"]))
