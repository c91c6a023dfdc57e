"""Looks at single jobs, as cheaply as can be: status polls are the most frequent request of all."""

import hashlib
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from shared.errors import JobNotFound, LedgerLost
from shared.jobs.job import Job
from shared.jobs.record import parse
from shared.redis_client import NAMESPACE, script, translated


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """All that one look at a job tells, of one moment."""

    job_id: str
    ledger: str | None  # its id; None where Redis lost it
    newest_event: str  # its id
    position: int | None  # in the waiting line, 1 for the next
    record: Mapping[str, str]

    def job(self) -> Job:
        """Raises JobNotFound; LedgerLost where Redis cannot know."""
        if self.record:
            return parse(self.record)
        if self.ledger is None:
            raise LedgerLost
        raise JobNotFound(f"There is no job {self.job_id}; it may have been deleted.")


class JobSnapshots:
    """Reads over a connection of its own, past redis-py's pool and hooks: they cost six times what they carry.

    For one thread at a time.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._connection: Any = client.connection_pool.make_connection()
        weakref.finalize(self, self._connection.disconnect)  # whoever holds it has no end of its own to say so at
        self._script = script("look")
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()

    def of(self, ids: Sequence[str]) -> list[JobSnapshot]:
        """Each of these jobs, all at the same moment, whether or not they exist. Raises LedgerUnavailable."""
        with translated():
            ledger, *found = self._look(ids)
        return [
            JobSnapshot(job_id, ledger, newest, position or None, dict(zip(flat[::2], flat[1::2], strict=True)))
            for job_id, (newest, position, flat) in zip(ids, found, strict=True)
        ]

    def _look(self, ids: Sequence[str]) -> Any:
        try:
            return self._ask("EVALSHA", self._sha, 1, NAMESPACE, *ids)
        except redis.exceptions.NoScriptError:
            return self._ask("EVAL", self._script, 1, NAMESPACE, *ids)
        except redis.ConnectionError:  # lost since the last look; to look twice does no harm
            return self._ask("EVAL", self._script, 1, NAMESPACE, *ids)

    def _ask(self, *command: Any) -> Any:
        self._connection.send_command(*command)
        return self._connection.read_response()
