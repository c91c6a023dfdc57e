"""A look at the whole: how long the lines are, who works, how much was done. Reads, and announces workers."""

import json
import time
from collections.abc import Sequence
from typing import Any, Final

import redis
from pydantic import BaseModel, ConfigDict, Field

from easel.models import JobState
from shared.jobs.estimate import MemoryKind
from shared.jobs.job import Job
from shared.redis_client import NAMESPACE, translated

STARTING: Final = "starting"
"""A worker's device before it has looked."""
_ALIVE_SECONDS: Final = 15.0


class WorkerInfo(BaseModel):
    """What a worker says of itself every few seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    device: str  # such as "cpu:2" or "NVIDIA H200"
    weights: str  # source and start of the hash
    tiers: tuple[str, ...]
    job: str | None = None
    memory_bytes: int = Field(0, description="For its job; 0 where it does not say, and then it takes any.")
    memory_kind: MemoryKind = Field("host", description="Whether that is the machine's memory or its GPU's (\"gpu\").")
    pixels_per_second: float | None = None  # evaluated, as measured on its last job
    seen_at: float


class QueueStats:
    """Counts and positions. All reads are O(log n) or O(workers)."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its answers as bytes or str whatever decode_responses says

    def depth(self, tier: str) -> int:
        """Jobs that wait in the tier."""
        with translated():
            return int(self._redis.zcard(f"{NAMESPACE}:queue:{tier}"))

    def head(self, tier: str) -> str | None:
        """The id of the job that is next in the tier."""
        with translated():
            found = self._redis.zrange(f"{NAMESPACE}:queue:{tier}", 0, 0)
        return found[0] if found else None

    def line(self, tier: str, offset: int, limit: int) -> list[str]:
        """The ids of up to `limit` jobs in the tier's line, behind the first `offset` of them."""
        with translated():
            found: list[str] = self._redis.zrange(f"{NAMESPACE}:queue:{tier}", offset, offset + limit - 1)
        return found

    def position(self, job: Job) -> int | None:
        """Place in the waiting line, 1 for the next; None for a job that does not wait."""
        return self.positions([job])[0]

    def positions(self, jobs: Sequence[Job]) -> list[int | None]:
        """The places of all these jobs, by one question."""
        pipe = self._redis.pipeline(transaction=False)
        for job in jobs:
            pipe.zrank(f"{NAMESPACE}:queue:{job.request.tier}", job.id)
        with translated():
            ranks = pipe.execute()
        waits = [job.state is JobState.QUEUED and rank is not None for job, rank in zip(jobs, ranks, strict=True)]
        return [int(rank) + 1 if wait else None for rank, wait in zip(ranks, waits, strict=True)]

    def count(self, state: JobState) -> int:
        """Jobs in this state."""
        with translated():
            return int(self._redis.zcard(f"{NAMESPACE}:jobs:{state}"))

    def completed_last_hour(self) -> int:
        """Jobs that ended, one way or another."""
        with translated():
            return int(self._redis.zcount(f"{NAMESPACE}:completed", time.time() - 3600, "+inf"))

    def completed(self, starts: Sequence[float], seconds: float) -> list[int]:
        """How many jobs ended within so many `seconds` of each of these moments, by one question."""
        pipe = self._redis.pipeline(transaction=False)
        for start in starts:
            pipe.zcount(f"{NAMESPACE}:completed", start, f"({start + seconds}")
        with translated():
            return [int(count) for count in pipe.execute()]

    def announce(self, worker: WorkerInfo) -> None:
        """Say that this worker lives."""
        with translated():
            self._redis.hset(f"{NAMESPACE}:workers", worker.name, worker.model_dump_json())

    def withdraw(self, name: str) -> None:
        """Say that this worker has gone."""
        with translated():
            self._redis.hdel(f"{NAMESPACE}:workers", name)

    def workers(self) -> list[WorkerInfo]:
        """Those that announced themselves lately, by name; the others are forgotten on the way."""
        with translated():
            known = self._redis.hgetall(f"{NAMESPACE}:workers")
        infos = [WorkerInfo.model_validate(json.loads(value)) for _, value in sorted(known.items())]
        for gone in (info for info in infos if info.seen_at < time.time() - 4 * _ALIVE_SECONDS):
            self.withdraw(gone.name)
        return [info for info in infos if info.seen_at >= time.time() - _ALIVE_SECONDS]
