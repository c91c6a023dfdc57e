"""The jobs' records and the queue in Redis. Every act is one Lua script (shared/ledger/scripts) and so atomic.

Times are seconds since the epoch by Redis' own clock. Every method raises LedgerUnavailable where Redis
does not answer in time, and the acts that create or claim raise LedgerLost where it lost its memory.
"""

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import redis
from redis.commands.core import Script

from easel.models import JobError, JobState
from shared.errors import ClaimLost, IdempotencyKeyReused, JobNotFound, LedgerLost, NotReady, QueueFull, WrongState
from shared.jobs.estimate import MemoryKind
from shared.jobs.job import Job, Request
from shared.jobs.record import newborn, pairs, parse, readable
from shared.redis_client import NAMESPACE, connect, script, translated

__all__ = ["NAMESPACE", "Claim", "ControlFlags", "Ledger", "connect"]  # a ledger comes with its connection

_REBUILDING_SECONDS: Final = 24 * 3600
_ACTS: Final = ("submit", "claim", "renew", "finish", "release", "steer", "reap", "delete", "restore", "adopt")


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a job: what it writes counts only while `token` stands in the record."""

    job: Job
    token: str


@dataclass(frozen=True)
class ControlFlags:
    """What a holder hears back when it renews its lease."""

    cancel: bool
    finish: bool
    others_wait: bool


class Ledger:
    """The live state of all jobs. Safe to share between threads; open a new one after a fork."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its answers as bytes or str whatever decode_responses says
        self._acts: dict[str, Script] = {act: client.register_script(script(act)) for act in _ACTS}

    def _act(self, act: str, *args: Any) -> Any:
        with translated():
            return self._acts[act](keys=[NAMESPACE], args=args)

    # Identity: an id that stands here and in the blob store; while it is missing here, nothing is certain.

    def identity(self) -> str | None:
        """The ledger's id, or None where Redis lost it or never had one."""
        with translated():
            found: str | None = self._redis.get(f"{NAMESPACE}:ledger")
        return found

    def adopt(self, identity: str) -> str:
        """Declare this Redis to be the ledger `identity`, unless it is one already; the id that stands."""
        with translated():
            return str(self._redis.set(f"{NAMESPACE}:ledger", identity, nx=True, get=True) or identity)

    def begin_rebuilding(self) -> str:
        """Leave a witness that only a further loss of memory removes."""
        witness = secrets.token_hex(8)
        with translated():
            self._redis.set(f"{NAMESPACE}:rebuilding:{witness}", "", ex=_REBUILDING_SECONDS)
        return witness

    def end_rebuilding(self, witness: str, identity: str) -> None:
        """Adopt `identity`, if all that was restored since `begin_rebuilding` is still there."""
        self._act("adopt", witness, identity)

    # The senders' side.

    def submit(self, request: Request, *, queue_limit: int, remember_seconds: int) -> tuple[str, bool]:
        """Create the record; (its id, whether it is new). An idempotency key seen before gives the older job's id.

        Raises QueueFull, IdempotencyKeyReused, LedgerLost.
        """
        fields = pairs(newborn(request))
        key = request.idempotency_key or ""
        head = (request.id, request.tier, request.digest, key, remember_seconds, queue_limit)
        verdict, job_id = self._act("submit", *head, *fields)
        match verdict:
            case "lost":
                raise LedgerLost
            case "full":
                raise QueueFull
            case "conflict":
                raise IdempotencyKeyReused
        return job_id, verdict == "created"

    def remembered(self, idempotency_key: str) -> tuple[str, str] | None:
        """(digest, id) of the job first sent under this key, while it is remembered."""
        with translated():
            value: str | None = self._redis.get(f"{NAMESPACE}:idempotency:{idempotency_key}")
        digest, _, job_id = (value or "").partition(" ")
        return (digest, job_id) if job_id else None

    def get(self, job_id: str) -> Job:
        """The record. Raises JobNotFound; LedgerLost where Redis cannot know."""
        with translated():
            fields = self._redis.hgetall(f"{NAMESPACE}:job:{job_id}")
        if fields:
            return parse(fields)
        if self.identity() is None:
            raise LedgerLost
        raise JobNotFound(f"There is no job {job_id}; it may have been deleted.")

    def exists(self, job_id: str) -> bool:
        """Whether there is a record; where Redis lost its memory, there is none."""
        with translated():
            return bool(self._redis.exists(f"{NAMESPACE}:job:{job_id}"))

    def list(self, *, state: JobState | None = None, limit: int = 50, before: str | None = None) -> list[Job]:
        """Up to `limit` jobs, newest first, older than the job `before`."""
        return [*self.several(self.ids(state=state, limit=limit, before=before))]

    def ids(self, *, state: JobState | None = None, limit: int, before: str | None = None) -> Sequence[str]:
        """As `list`, of the jobs' ids alone."""
        index = f"{NAMESPACE}:jobs" + (f":{state}" if state else "")
        with translated():
            newest = f"({before}" if before else "+"
            found: Sequence[str] = self._redis.zrange(index, newest, "-", desc=True, bylex=True, offset=0, num=limit)
        return found

    def several(self, ids: Sequence[str]) -> Sequence[Job]:
        """Those of these jobs that exist, in the same order."""
        pipe = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipe.hgetall(f"{NAMESPACE}:job:{job_id}")
        with translated():
            return [job for fields in pipe.execute() if fields and (job := readable(fields))]

    def request_control(self, job_id: str, wish: Literal["cancel", "finish"]) -> Job:
        """Ask for the job's end. Raises JobNotFound, WrongState, NotReady."""
        match self._act("steer", job_id, wish):
            case "missing":
                return self.get(job_id)  # raises the right error
            case "ended":
                raise WrongState(f"The job has already ended: it {self.get(job_id).state}.")
            case "nothing":
                raise NotReady("There is no picture to keep before the first step; wait, or cancel the job.")
        return self.get(job_id)

    def delete(self, job_id: str) -> None:
        """Forget a job that has ended. Raises JobNotFound, WrongState."""
        match self._act("delete", job_id):
            case "missing":
                self.get(job_id)  # raises the right error
            case "running":
                raise WrongState("The job has not ended; cancel it first.")

    # The workers' side. Each of these is fenced by the claim's token.

    def claim(
        self,
        worker: str,
        tiers: tuple[str, ...],
        *,
        lease_seconds: float,
        memory_bytes: int = 0,
        memory_kind: MemoryKind = "host",
    ) -> Claim | None:
        """Take the next job that is predicted to fit into `memory_bytes`, 0 for any, if one waits."""
        token = secrets.token_hex(8)
        flat = self._act("claim", token, worker, lease_seconds, memory_bytes, memory_kind, *tiers)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        return Claim(parse(fields), token) if fields else None

    def renew(
        self, claim: Claim, *, lease_seconds: float, event: tuple[str, Any] | None = None, **fields: Any
    ) -> ControlFlags:
        """Prove to be alive, and write `fields` into the record. Raises ClaimLost."""
        kind, data = (event[0], json.dumps(event[1])) if event else ("", "")
        answer = self._act("renew", claim.job.id, claim.token, lease_seconds, kind, data, *pairs(fields))
        if not answer:
            raise ClaimLost(f"Job {claim.job.id} has another holder now.")
        return ControlFlags(cancel=bool(answer[0]), finish=bool(answer[1]), others_wait=answer[2] > 0)

    def finish(self, claim: Claim, state: JobState, **fields: Any) -> None:
        """End the job and make its result visible. Raises ClaimLost."""
        if not self._act("finish", claim.job.id, claim.token, str(state), *pairs(fields)):
            raise ClaimLost(f"Job {claim.job.id} has another holder now.")

    def release(self, claim: Claim, *, place: Literal["head", "tail"], **fields: Any) -> None:
        """Give the job back unfinished. Raises ClaimLost."""
        if not self._act("release", claim.job.id, claim.token, place, *pairs(fields)):
            raise ClaimLost(f"Job {claim.job.id} has another holder now.")

    # The reaper's side.

    def reap(self, *, attempts_limit: int, exhausted: JobError) -> dict[str, JobState]:
        """Take back every claim whose lease ran out; what became of each job."""
        flat = self._act("reap", attempts_limit, exhausted.model_dump_json())
        return {job_id: JobState(state) for job_id, state in zip(flat[::2], flat[1::2], strict=True)}

    def unsealed(self, *, older_than_seconds: float) -> Sequence[str]:
        """Jobs that ended so long ago without the blob store being told."""
        return self._ended("unsealed", older_than_seconds)

    def sealed(self, job_id: str) -> None:
        """The blob store knows how this job ended."""
        with translated():
            self._redis.zrem(f"{NAMESPACE}:unsealed", job_id)

    def expired(self, *, older_than_seconds: float, limit: int) -> Sequence[str]:
        """Up to `limit` jobs that ended so long ago, the oldest first."""
        return self._ended("completed", older_than_seconds, start=0, num=limit)

    def _ended(self, index: str, older_than_seconds: float, **page: int) -> Sequence[str]:
        with translated():
            seconds, micros = self._redis.time()
            until = seconds + micros / 1e6 - older_than_seconds
            found: Sequence[str] = self._redis.zrangebyscore(f"{NAMESPACE}:{index}", "-inf", until, **page)
        return found

    def uptime(self) -> float:
        """Seconds since Redis started."""
        with translated():
            return float(self._redis.info("server")["uptime_in_seconds"])

    def restore(self, request: Request, state: JobState, *, remember_seconds: int = 24 * 3600, **fields: Any) -> bool:
        """Write a lost record anew, and its idempotency key for what is left of `remember_seconds`.

        False where the record stands already.
        """
        fields = {**newborn(request), **fields}
        left = int(request.created_at + remember_seconds - time.time())
        key = request.idempotency_key if request.idempotency_key and left > 0 else ""
        head = (request.id, request.tier, str(state), request.digest, key, left)
        return bool(self._act("restore", *head, *pairs(fields)))
