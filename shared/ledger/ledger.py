"""Writes the job records and the queue in Redis, each time by one Lua script (shared/ledger/scripts), hence atomically.

Times are seconds since the epoch by Redis' own clock. Every method raises LedgerUnavailable if Redis does not
respond in time; those that create, claim or reap raise LedgerLost if Redis lost its data.
"""

import json
import secrets
import time
from contextlib import suppress
from typing import Any, Final, Literal

import redis
from redis.commands.core import Script

from easel.models import JobState
from shared.errors import (
    ClaimLost,
    DailyQuotaExceeded,
    EaselError,
    IdempotencyKeyReused,
    LedgerLost,
    NotReady,
    QueueFull,
    TooManyQueuedJobs,
    WrongState,
)
from shared.jobs.estimate import MemoryKind, pixel_evaluations
from shared.jobs.job import Job, JobRequest
from shared.jobs.record import initial_fields, parse_record, to_hash_args
from shared.ledger.lease import Claim, ControlAction, ControlFlags
from shared.ledger.reader import LedgerReader
from shared.metrics import jobs as job_metrics
from shared.redis_client import NAMESPACE, connect, load_script, translate_errors

__all__ = ["NAMESPACE", "Claim", "ControlAction", "ControlFlags", "Ledger", "connect"]  # re-exported: used with Ledger

_DAY: Final = 24 * 3600
_SCRIPTS: Final = (
    *("submit", "claim", "renew", "end_job", "release", "request_control"),
    *("take_back", "reap_expired_leases", "delete", "restore", "end_rebuild", "list_tenants"),
)


class Ledger(LedgerReader):
    """The live state of all jobs. Safe to share between threads; open a new one after a fork."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self._scripts: dict[str, Script] = {name: client.register_script(load_script(name)) for name in _SCRIPTS}

    def _run(self, script: str, *args: Any) -> Any:
        with translate_errors():
            return self._scripts[script](keys=[NAMESPACE], args=args)

    # Identity: an ID kept both in Redis and in the blob store. If Redis does not have it, Redis lost its data.

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
        *requests: JobRequest,
        queue_limit: int,
        remember_seconds: int,
        tenant_queue_limit: int = 0,
        pixel_evaluations_per_day: int = 0,
    ) -> tuple[str, bool]:
        """Create the record of a job, or all records of a batch; return its ID and True.

        Or the ID of the earlier job or batch and False, for a repeated idempotency key. The last two are limits of the
        tenant, 0 for none. Raises QueueFull, TooManyQueuedJobs, DailyQuotaExceeded, IdempotencyKeyReused, LedgerLost,
        with no record created.
        """
        first = requests[0]
        args = (first.tenant, first.digest, first.idempotency_key or "", remember_seconds, queue_limit)
        args_of_jobs, total = list[Any](), 0
        for request in requests:
            fields, cost = to_hash_args(initial_fields(request)), _submission_cost(request)
            args_of_jobs += [request.id, request.tier, cost, len(fields), *fields]
            total += cost
        quotas = (tenant_queue_limit, pixel_evaluations_per_day)
        status, created_id = self._run("submit", *args, *quotas, first.batch or "", *args_of_jobs)
        match status:
            case "ledger_lost":
                raise LedgerLost
            case "queue_full":
                raise QueueFull
            case "too_many_queued":
                raise TooManyQueuedJobs
            case "daily_quota":
                left = _DAY - time.time() % _DAY
                raise DailyQuotaExceeded.of(total, pixel_evaluations_per_day, left, jobs=len(requests))
            case "conflict":
                raise IdempotencyKeyReused
            case "created":
                for request in requests:
                    job_metrics.record_submission(request)
        return created_id, status == "created"

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

    def mark_finalized(self, job_id: str) -> None:
        """Record that the job's final.json is in the blob store."""
        with translate_errors():
            self._redis.zrem(f"{NAMESPACE}:unfinalized", job_id)

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


def _submission_cost(request: JobRequest) -> int:
    """Return the pixel evaluations that a submission is charged. Those of unknown images are charged once fetched."""
    if request.sources:
        return 0
    return round(pixel_evaluations(request.recipe, request.width or 1, request.height or 1))


def _claim_lost(claim: Claim) -> ClaimLost:
    return ClaimLost(f"Job {claim.job.id} has another holder now.")
