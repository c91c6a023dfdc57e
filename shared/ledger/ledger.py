"""The job records and the queue in Redis. Every write is one Lua script (shared/ledger/scripts), hence atomic.

Times are seconds since the epoch by Redis' own clock. Every method raises LedgerUnavailable if Redis does not
respond in time; those that create, claim or reap raise LedgerLost if Redis lost its data.
"""

import json
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

import redis
from redis.commands.core import Script

from easel.models import JobState
from shared.errors import (
    ClaimLost,
    DailyQuotaExceeded,
    EaselError,
    IdempotencyKeyReused,
    JobNotFound,
    LedgerLost,
    NotReady,
    QueueFull,
    TooManyQueuedJobs,
    WrongState,
)
from shared.jobs.estimate import MemoryKind, pixel_evaluations
from shared.jobs.job import DEFAULT_TENANT, Job, JobRequest
from shared.jobs.record import initial_fields, parse_or_none, parse_record, to_hash_args
from shared.metrics import jobs as job_metrics
from shared.redis_client import NAMESPACE, connect, load_script, translate_errors

__all__ = ["NAMESPACE", "Claim", "ControlAction", "ControlFlags", "Ledger", "connect"]  # re-exported: used with Ledger

_DAY: Final = 24 * 3600
_SCRIPTS: Final = (
    *("submit", "claim", "renew", "end_job", "release", "request_control"),
    *("take_back", "reap_expired_leases", "delete", "restore", "end_rebuild", "list_tenants"),
)

ControlAction = Literal["cancel", "finish"]
"""`cancel` discards the job's image, `finish` keeps the best one so far as the result."""


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a job. Its writes count only while the record holds `token` (fencing)."""

    job: Job
    token: str


@dataclass(frozen=True)
class ControlFlags:
    """What the holder of a claim must react to, as of its last lease renewal."""

    cancel: bool
    finish: bool
    others_waiting: bool  # in the same tier


class Ledger:
    """The live state of all jobs. Safe to share between threads; open a new one after a fork."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says
        self._scripts: dict[str, Script] = {name: client.register_script(load_script(name)) for name in _SCRIPTS}

    def _run(self, script: str, *args: Any) -> Any:
        with translate_errors():
            return self._scripts[script](keys=[NAMESPACE], args=args)

    # Identity: an ID kept both in Redis and in the blob store. If Redis does not have it, Redis lost its data.

    def identity(self) -> str | None:
        """Return the ledger's ID, or None if Redis lost it or never had one."""
        with translate_errors():
            identity: str | None = self._redis.get(f"{NAMESPACE}:ledger")
        return identity

    def ensure_identity(self, identity: str) -> str:
        """Make this Redis the ledger `identity` unless it already has an ID; return the current one."""
        with translate_errors():
            return str(self._redis.set(f"{NAMESPACE}:ledger", identity, nx=True, get=True) or identity)

    def begin_rebuild(self) -> str:
        """Set and return a marker that disappears only if Redis loses its data again."""
        marker = secrets.token_hex(8)
        with translate_errors():
            self._redis.set(f"{NAMESPACE}:rebuilding:{marker}", "", ex=_DAY)
        return marker

    def end_rebuild(self, marker: str, identity: str) -> None:
        """Make this Redis the ledger `identity` if the marker, hence all restored records, still exists."""
        self._run("end_rebuild", marker, identity)

    # For clients, through the API.

    def submit(
        self,
        request: JobRequest,
        *,
        queue_limit: int,
        remember_seconds: int,
        tenant_queue_limit: int = 0,
        pixel_evaluations_per_day: int = 0,
    ) -> tuple[str, bool]:
        """Create the record; return (id, True), or (ID of the earlier job, False) for a repeated idempotency key.

        The last two are limits of the tenant, 0 for none. Raises QueueFull, TooManyQueuedJobs, DailyQuotaExceeded,
        IdempotencyKeyReused, LedgerLost.
        """
        fields = to_hash_args(initial_fields(request))
        key = request.idempotency_key or ""
        is_known = request.sources is None  # else it is charged once the images are fetched
        cost = round(pixel_evaluations(request.recipe, request.width or 1, request.height or 1)) if is_known else 0
        args = (request.id, request.tenant, request.tier, request.digest, key, remember_seconds, queue_limit)
        quotas = (tenant_queue_limit, pixel_evaluations_per_day, cost)
        status, job_id = self._run("submit", *args, *quotas, *fields)
        match status:
            case "ledger_lost":
                raise LedgerLost
            case "queue_full":
                raise QueueFull
            case "too_many_queued":
                raise TooManyQueuedJobs
            case "daily_quota":
                raise DailyQuotaExceeded.of(cost, pixel_evaluations_per_day, _DAY - time.time() % _DAY)
            case "conflict":
                raise IdempotencyKeyReused
            case "created":
                job_metrics.record_submission(request)
        return job_id, status == "created"

    def find_by_idempotency_key(self, idempotency_key: str, tenant: str = DEFAULT_TENANT) -> tuple[str, str] | None:
        """Return (digest, ID) of the first job submitted with this key; None if there is none or it expired."""
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

    def request_control(self, job_id: str, action: ControlAction) -> Job:
        """Request that the job ends; return its record. Raises JobNotFound, WrongState, NotReady."""
        match self._run("request_control", job_id, action):
            case "missing":
                return self.get(job_id)  # raises the right error
            case "ended":
                raise WrongState(f"The job has already ended; its state is {self.get(job_id).state}.")
            case "no_image":
                raise NotReady("There is no image to keep before the first step; wait, or cancel the job.")
            case "canceled":
                job_metrics.record_end(job := self.get(job_id), JobState.CANCELED)
                return job
        return self.get(job_id)

    def delete(self, job_id: str) -> None:
        """Delete the record of a job that has ended. Raises JobNotFound, WrongState."""
        match self._run("delete", job_id):
            case "missing":
                self.get(job_id)  # raises the right error
            case "running":
                raise WrongState("The job has not ended; cancel it first.")

    def set_running_limit(self, tenant: str, limit: int | None) -> None:
        """Set how many running jobs the tenant may have, 0 for any number; None for the settings' default."""
        with translate_errors():
            if limit is None:
                self._redis.hdel(f"{NAMESPACE}:running_limits", tenant)
            else:
                self._redis.hset(f"{NAMESPACE}:running_limits", tenant, limit)

    # For workers. All but `claim` are fenced by the claim's token.

    def claim(
        self,
        worker: str,
        tiers: tuple[str, ...],
        *,
        lease_seconds: float,
        memory_bytes: int = 0,
        memory_kind: MemoryKind = "host",
        running_limit: int = 0,
    ) -> Claim | None:
        """Claim the next job that is predicted to fit into `memory_bytes` (0 for any); None if there is none.

        Skips jobs of tenants that have as many running jobs as was set for them, or else `running_limit` (0 for any).
        """
        token = secrets.token_hex(8)
        flat = self._run("claim", token, worker, lease_seconds, memory_bytes, memory_kind, running_limit, *tiers)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        if not fields:
            return None
        claim = Claim(parse_record(fields), token)
        job_metrics.record_claim(claim.job)
        return claim

    def renew(
        self, claim: Claim, *, lease_seconds: float, event: tuple[str, Any] | None = None, **fields: Any
    ) -> ControlFlags:
        """Renew the lease, write `fields` into the record and publish `event` (kind, data). Raises ClaimLost."""
        kind, data = (event[0], json.dumps(event[1])) if event else ("", "")
        reply = self._run("renew", claim.job.id, claim.token, lease_seconds, kind, data, *to_hash_args(fields))
        if not reply:
            raise _claim_lost(claim)
        return ControlFlags(cancel=bool(reply[0]), finish=bool(reply[1]), others_waiting=reply[2] > 0)

    def end_job(self, claim: Claim, state: JobState, **fields: Any) -> None:
        """End the job and publish its result; as canceled if that was requested earlier. Raises ClaimLost."""
        ended = self._run("end_job", claim.job.id, claim.token, str(state), *to_hash_args(fields))
        if not ended:
            raise _claim_lost(claim)
        state = JobState(ended)
        code = fields["error"].code if state is JobState.FAILED and fields.get("error") else ""
        job_metrics.record_end(claim.job, state, code, run_seconds=fields.get("run_seconds"))

    def release(self, claim: Claim, *, place: Literal["head", "tail"], **fields: Any) -> None:
        """Return the job to its queue unfinished. Raises ClaimLost."""
        if not self._run("release", claim.job.id, claim.token, place, *to_hash_args(fields)):
            raise _claim_lost(claim)

    def take_back(self, job_id: str, token: str) -> JobState | None:
        """Take back the claim of a process that died; return the job's new state, None if the claim had ended."""
        reply = self._run("take_back", job_id, token)
        if not reply:
            return None
        self._record_lost_lease(job_id, state := JobState(reply), "child_died")
        return state

    # For the reaper.

    def list_tenants(self) -> None:
        """Add the jobs that an older version created to the lists of their tenants, once. Safe to repeat."""
        with translate_errors():
            if self._redis.exists(f"{NAMESPACE}:tenants_listed"):
                return
        last = ""
        while last := self._run("list_tenants", last):
            pass
        with translate_errors():
            self._redis.set(f"{NAMESPACE}:tenants_listed", 1)

    def reap_expired_leases(self) -> dict[str, JobState]:
        """Take back every claim whose lease has expired; return the new state of each job: queued or canceled."""
        flat = self._run("reap_expired_leases")
        states = {job_id: JobState(state) for job_id, state in zip(flat[::2], flat[1::2], strict=True)}
        for job_id, state in states.items():
            self._record_lost_lease(job_id, state, "expired")
        return states

    def _record_lost_lease(self, job_id: str, state: JobState, reason: str) -> None:
        job_metrics.LEASES_LOST.inc(reason=reason)
        if state is JobState.CANCELED:
            with suppress(EaselError):  # deleted, or Redis is away now
                job_metrics.record_end(self.get(job_id), state)

    def list_unfinalized_ids(self, *, older_than_seconds: float) -> Sequence[str]:
        """Return the jobs that ended at least this long ago and have no final.json in the blob store yet."""
        return self._list_ended_ids("unfinalized", older_than_seconds)

    def mark_finalized(self, job_id: str) -> None:
        """Record that the job's final.json is in the blob store."""
        with translate_errors():
            self._redis.zrem(f"{NAMESPACE}:unfinalized", job_id)

    def list_completed_ids(self, *, older_than_seconds: float, limit: int) -> Sequence[str]:
        """Return up to `limit` jobs that ended at least this long ago, oldest first."""
        return self._list_ended_ids("completed", older_than_seconds, start=0, num=limit)

    def _list_ended_ids(self, index: str, older_than_seconds: float, **page: int) -> Sequence[str]:
        with translate_errors():
            seconds, micros = self._redis.time()
            until = seconds + micros / 1e6 - older_than_seconds
            ids: Sequence[str] = self._redis.zrangebyscore(f"{NAMESPACE}:{index}", "-inf", until, **page)
        return ids

    def writable_seconds(self) -> float:
        """Return the seconds since Redis started. Raises LedgerReadOnly if it accepts no writes now."""
        with translate_errors():
            self._redis.set(f"{NAMESPACE}:write_check", 1)
            return float(self._redis.info("server")["uptime_in_seconds"])

    def restore(self, request: JobRequest, state: JobState, *, remember_seconds: int = _DAY, **fields: Any) -> bool:
        """Write a lost record, and its idempotency key for what remains of its lifetime; False if the record exists."""
        fields = {**initial_fields(request), **fields}
        ttl = int(request.created_at + remember_seconds - time.time())
        key = request.idempotency_key if request.idempotency_key and ttl > 0 else ""
        args = (request.id, request.tier, str(state), request.digest, key, ttl)
        return bool(self._run("restore", *args, *to_hash_args(fields)))


def _claim_lost(claim: Claim) -> ClaimLost:
    return ClaimLost(f"Job {claim.job.id} has another holder now.")
