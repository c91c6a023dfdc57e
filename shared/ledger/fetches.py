"""Queued jobs whose images are to be fetched from URLs. Every write is one Lua script, as in the ledger."""

import math
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from easel.models import JobError, JobState
from shared.errors import ClaimLost, DailyQuotaExceeded
from shared.jobs.estimate import pixel_evaluations
from shared.jobs.job import Job, JobRequest
from shared.jobs.record import initial_fields, to_hash_args
from shared.metrics import jobs as job_metrics
from shared.redis_client import NAMESPACE, load_script, translate_errors

_DAY: Final = 24 * 3600
_MAX_DUE: Final = 100  # of one tenant, so that those of others are always among all


@dataclass(frozen=True)
class Fetch:
    """A fetcher's hold on a job. Its writes count only while the record holds `token`."""

    job_id: str
    token: str
    attempt: int  # 1 for the first


class Fetches:
    """Safe to share between threads; open a new one after a fork."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says
        self._process = secrets.token_hex(8)
        self._take_script = client.register_script(load_script("take_fetch"))
        self._end_script = client.register_script(load_script("end_fetch"))

    def due(self) -> Sequence[str]:
        """Return jobs that no fetcher holds, and whose next attempt is due: of each tenant the first hundred."""
        with translate_errors():
            seconds, micros = self._redis.time()
            ids = self._redis.zrangebyscore(f"{NAMESPACE}:fetches", "-inf", seconds + micros / 1e6)
            pipeline = self._redis.pipeline(transaction=False)
            for job_id in ids:
                pipeline.hget(f"{NAMESPACE}:job:{job_id}", "tenant")
            tenants = pipeline.execute()
        by_tenant = defaultdict[str, list[str]](list)
        for job_id, tenant in zip(ids, tenants, strict=True):
            by_tenant[tenant].append(job_id)
        return [job_id for some in by_tenant.values() for job_id in some[:_MAX_DUE]]

    def take(self, job_id: str, *, lease_seconds: float) -> Fetch | None:
        """Take a job; None if it is not due, waits for no images, or another process takes the jobs of its batch."""
        token = secrets.token_hex(8)
        attempt = self._take(job_id, token, lease_seconds)
        return Fetch(job_id, token, attempt) if attempt else None

    def renew(self, fetch: Fetch, *, lease_seconds: float) -> None:
        """Renew the lease. Raises ClaimLost, also if the job was canceled."""
        if not self._take(fetch.job_id, fetch.token, lease_seconds):
            raise _lost(fetch)

    def complete(self, fetch: Fetch, request: JobRequest, *, pixel_evaluations_per_day: int = 0) -> None:
        """Put the job, whose request is complete now, into its queue. Raises DailyQuotaExceeded, ClaimLost."""
        cost = round(pixel_evaluations(request.recipe, request.width, request.height))
        fields = initial_fields(request)
        if self._end(fetch, "fetched", 0, pixel_evaluations_per_day, cost, *to_hash_args(fields)) == "daily_quota":
            raise DailyQuotaExceeded.of(cost, pixel_evaluations_per_day, _DAY - time.time() % _DAY)

    def fail(self, fetch: Fetch, job: Job, error: JobError) -> None:
        """End the job. Raises ClaimLost."""
        self._end(fetch, "failed", 0, 0, 0, *to_hash_args({"error": error}))
        job_metrics.record_end(job, JobState.FAILED, error.code)

    def retry(self, fetch: Fetch, *, seconds: float, counted: bool = True) -> None:
        """Have the job fetched again later; unless `counted`, as if it had not been taken. Raises ClaimLost."""
        self._end(fetch, "retry" if counted else "postponed", math.ceil(seconds), 0, 0)

    def _take(self, job_id: str, token: str, lease_seconds: float) -> int:
        with translate_errors():
            return int(self._take_script(keys=[NAMESPACE], args=[job_id, token, lease_seconds, self._process]))

    def _end(self, fetch: Fetch, outcome: str, *args: Any) -> str:
        with translate_errors():
            reply = str(self._end_script(keys=[NAMESPACE], args=[fetch.job_id, fetch.token, outcome, *args]))
        if reply == "lost":
            raise _lost(fetch)
        return reply


def _lost(fetch: Fetch) -> ClaimLost:
    return ClaimLost(f"Job {fetch.job_id} has ended, or another fetcher has it now.")
