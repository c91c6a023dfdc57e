"""Statistics of the whole service: queue lengths, workers, throughput. Also where workers register."""

import json
import time
from collections.abc import Sequence
from typing import Any, Final

import redis
from pydantic import BaseModel, ConfigDict, Field

from easel.models import JobState
from shared.jobs.estimate import MemoryKind
from shared.jobs.job import Job
from shared.ledger.lease import Lease
from shared.redis_client import NAMESPACE, translate_errors

STARTING: Final = "starting"
"""Device of a worker that has not opened it yet."""
_ALIVE_SECONDS: Final = 15.0
_DAY: Final = 24 * 3600


class WorkerInfo(BaseModel):
    """What a worker registers every few seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    device: str  # such as "cpu:2" or "NVIDIA H200"
    weights: str  # source and first digits of the hash
    weights_seconds: float = 0  # that it will still spend on learning them, before its first evaluation
    tiers: tuple[str, ...]
    job: str | None = None  # ID
    memory_bytes: int = Field(0, description="Memory available to a job; 0 if unknown, which fits any job.")
    memory_kind: MemoryKind = Field("host", description='"host" memory or "gpu" memory.')
    pixels_per_second: float | None = None  # evaluated, as measured on its last job
    seen_at: float


class QueueStats:
    """Counts and positions. All reads are O(log n) or O(workers)."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says

    def depth(self, tier: str) -> int:
        """Return the number of queued jobs in the tier."""
        with translate_errors():
            return int(self._redis.zcard(f"{NAMESPACE}:queue:{tier}"))

    def next_job_ids(self, tier: str, limit: int) -> list[str]:
        """Return the IDs of the next jobs in the tier's queue."""
        with translate_errors():
            ids: list[str] = self._redis.zrange(f"{NAMESPACE}:queue:{tier}", 0, limit - 1)
        return ids

    def next_job_age(self, tier: str) -> float | None:
        """Return the seconds since the submission of the next job in the tier's queue; None if there is none."""
        ids = self.next_job_ids(tier, 1)
        if not ids:
            return None
        with translate_errors():
            request = self._redis.hget(f"{NAMESPACE}:job:{ids[0]}", "request")
        return max(0.0, time.time() - json.loads(request)["created_at"]) if request else None  # deleted meanwhile

    def redis_memory(self) -> tuple[int, int]:
        """Return the bytes that Redis uses, and those that it may use; 0 for no limit."""
        with translate_errors():
            info = self._redis.info("memory")
        return int(info["used_memory"]), int(info.get("maxmemory", 0))

    def list_queued_ids(self, tier: str, tenant: str) -> list[str]:
        """Return the IDs of the tenant's jobs in the tier's queue, the next one first. O(n log n) in these."""
        with translate_errors():
            ids: list[str] = self._redis.zinter(
                {f"{NAMESPACE}:queue:{tier}": 1, f"{NAMESPACE}:tenant:{tenant}:jobs:queued": 0}
            )
        return ids

    def position(self, job: Job) -> int | None:
        """Return the position in the queue, 1 is next; None for a job that is not queued."""
        return self.positions([job])[0]

    def positions(self, jobs: Sequence[Job]) -> list[int | None]:
        """Return the positions of all these jobs, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for job in jobs:
            pipe.zrank(f"{NAMESPACE}:queue:{job.request.tier}", job.id)
        with translate_errors():
            ranks = pipe.execute()
        return [
            int(rank) + 1 if job.state is JobState.QUEUED and rank is not None else None
            for job, rank in zip(jobs, ranks, strict=True)
        ]

    def leases(self, jobs: Sequence[Job]) -> list[Lease | None]:
        """Return the leases of those of these jobs that are running, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.time()
        for job in jobs:
            pipe.zscore(f"{NAMESPACE}:leases", job.id)
        with translate_errors():
            (seconds, micros), *expiries = pipe.execute()
        return [None if expires_at is None else Lease(expires_at, seconds + micros / 1e6) for expires_at in expiries]

    def count(self, state: JobState, tenant: str | None = None) -> int:
        """Return the number of jobs in this state, of one or of all tenants."""
        with translate_errors():
            return int(self._redis.zcard(NAMESPACE + (f":tenant:{tenant}" if tenant else "") + f":jobs:{state}"))

    def pixel_evaluations_today(self, tenant: str) -> int:
        """Return what the jobs that the tenant submitted today (UTC) were charged."""
        with translate_errors():
            return int(
                self._redis.get(f"{NAMESPACE}:tenant:{tenant}:pixel_evaluations:{int(time.time() // _DAY)}") or 0
            )

    def completed_last_hour(self) -> int:
        """Return the number of jobs that ended in the last hour, in any final state."""
        with translate_errors():
            return int(self._redis.zcount(f"{NAMESPACE}:completed", time.time() - 3600, "+inf"))

    def count_completed(self, starts: Sequence[float], seconds: float) -> list[int]:
        """Return the number of jobs that ended within `seconds` of each of these times, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for start in starts:
            pipe.zcount(f"{NAMESPACE}:completed", start, f"({start + seconds}")
        with translate_errors():
            return [int(count) for count in pipe.execute()]

    def register_worker(self, worker: WorkerInfo) -> None:
        """Add or update a worker."""
        with translate_errors():
            self._redis.hset(f"{NAMESPACE}:workers", worker.name, worker.model_dump_json())

    def unregister_worker(self, name: str) -> None:
        """Remove a worker."""
        with translate_errors():
            self._redis.hdel(f"{NAMESPACE}:workers", name)

    def workers(self) -> list[WorkerInfo]:
        """Return the workers seen recently, by name; remove those that have not been seen for a minute."""
        with translate_errors():
            entries = self._redis.hgetall(f"{NAMESPACE}:workers")
        infos = [WorkerInfo.model_validate(json.loads(value)) for _, value in sorted(entries.items())]
        for dead in (info for info in infos if info.seen_at < time.time() - 4 * _ALIVE_SECONDS):
            self.unregister_worker(dead.name)
        return [info for info in infos if info.seen_at >= time.time() - _ALIVE_SECONDS]
