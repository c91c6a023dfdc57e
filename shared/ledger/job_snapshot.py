"""Cheap snapshots of single jobs: status polls are by far the most frequent requests."""

import hashlib
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from shared.errors import JobNotFound, LedgerLost
from shared.jobs.job import Job
from shared.jobs.record import parse_record
from shared.ledger.lease import Lease
from shared.redis_client import NAMESPACE, load_script, translate_errors


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """The state of one job at one moment, whether or not the job exists."""

    job_id: str
    ledger_id: str | None  # None if Redis lost it
    last_event_id: str
    position: int | None  # in the queue, 1 is next; None if it is not queued
    lease: Lease | None  # None if it is not running
    record: Mapping[str, str]

    def job(self) -> Job:
        """Parse the record. Raises JobNotFound; LedgerLost if Redis lost its data."""
        if self.record:
            return parse_record(self.record)
        if self.ledger_id is None:
            raise LedgerLost
        raise JobNotFound.of(self.job_id)


class JobSnapshots:
    """Reads snapshots over a separate connection. For one thread at a time.

    Bypasses redis-py's pool and hooks, which cost six times as much as the read itself.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._connection: Any = client.connection_pool.make_connection()
        weakref.finalize(self, self._connection.disconnect)  # owners have no close method that could disconnect it
        self._script = load_script("snapshot")
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()

    def read(self, ids: Sequence[str]) -> list[JobSnapshot]:
        """Return a snapshot of each job, all of the same moment. Raises LedgerUnavailable."""
        with translate_errors():
            ledger_id, now, *entries = self._run_script(ids)
        return [
            JobSnapshot(
                job_id=job_id,
                ledger_id=ledger_id,
                last_event_id=last_event_id,
                position=position or None,
                lease=Lease(float(expires_at), float(now)) if expires_at else None,
                record=dict(zip(flat[::2], flat[1::2], strict=True)),
            )
            for job_id, (last_event_id, position, expires_at, flat) in zip(ids, entries, strict=True)
        ]

    def _run_script(self, ids: Sequence[str]) -> Any:
        try:
            return self._execute("EVALSHA", self._sha, 1, NAMESPACE, *ids)
        except redis.exceptions.NoScriptError:
            return self._execute("EVAL", self._script, 1, NAMESPACE, *ids)
        except redis.ConnectionError:  # lost since the last read; reads can be repeated
            return self._execute("EVAL", self._script, 1, NAMESPACE, *ids)

    def _execute(self, *command: Any) -> Any:
        self._connection.send_command(*command)
        return self._connection.read_response()
