"""Jobs in every state, functions that age and lose them, and a blob store with an interruption at the n-th call."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import uuid_utils

from shared.errors import StorageUnavailable
from shared.jobs.job import DEFAULT_TENANT, Job, JobRequest
from shared.jobs.saved_iterations import SavedIterations
from shared.ledger.ledger import Claim
from shared.presets import PRESETS
from shared.recovery.job_files import finalize, write_request
from shared.services import Services
from shared.storage import BlobStore, keys
from support.fixtures.api import add_iteration, claim, report_progress, succeed
from worker.maintenance.garbage_collection import DAY, collect_garbage


def add_queued_job(
    services: Services,
    content: str = "photo",
    *,
    tier: str = "batch",
    key: str | None = None,
    tenant: str = DEFAULT_TENANT,
) -> str:
    """Add a queued job; return its id."""
    request = JobRequest(
        id=str(uuid_utils.uuid7()),
        tenant=tenant,
        tier=tier,
        recipe=PRESETS["fast"],
        content=content,
        styles=("painting",),
        created_at=time.time(),
        digest="d",
        idempotency_key=key,
    )
    for name in (content, "painting"):
        services.blobs.put(keys.input_image(name), b"an image")
    write_request(services.blobs, request)
    return services.ledger.submit(request, queue_limit=1000, remember_seconds=600)[0]


def add_running_job(services: Services, content: str = "photo", *, key: str | None = None) -> Claim:
    """Add a running job with a preview, a saved iteration and a checkpoint; return its claim."""
    job_id, claimed = add_queued_job(services, content, tier="standard", key=key), claim(services)
    assert claimed.job.id == job_id
    report_progress(services, claimed, 3)
    add_iteration(services, claimed, SavedIterations(), 2)
    checkpoint = keys.checkpoint(job_id, claimed.token, 3)
    services.blobs.put(checkpoint, b"state")
    services.ledger.renew(claimed, lease_seconds=600, checkpoint=checkpoint)
    return claimed


def add_succeeded_job(services: Services, content: str = "photo", *, finalized: bool = True) -> str:
    """Add a job that has succeeded; return its id."""
    claimed = add_running_job(services, content, key=str(uuid_utils.uuid7()))
    succeed(services, claimed)
    if finalized:
        finalize(services.ledger, services.blobs, claimed.job.id)
    return claimed.job.id


def add_expired_job(services: Services, content: str = "photo", *, finalized: bool = True) -> str:
    """Add a job that succeeded before the retention period; return its id."""
    job_id = add_succeeded_job(services, content, finalized=finalized)
    redis_client(services).zadd("easel:completed", {job_id: time.time() - 31 * DAY})
    return job_id


def lose_record(services: Services, job_id: str) -> str:
    """Delete everything about one job from Redis; return its id."""
    client = redis_client(services)
    for key in redis_keys(services, job_id):
        if client.type(key) == "zset":
            client.zrem(key, job_id)
        else:
            client.delete(key)
    return job_id


def redis_client(services: Services) -> Any:
    return services.ledger._redis


def age_blobs(services: Services, seconds: float = 2 * DAY) -> None:
    """Make all blobs older."""
    for path in Path(services.settings.store_url.removeprefix("file://")).rglob("*"):
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


def redis_keys(services: Services, job_id: str) -> list[str]:
    """Return Redis' keys whose name or value contains the job's id."""
    client = redis_client(services)
    readers = {"zset": lambda key: client.zrange(key, 0, -1), "string": client.get, "hash": client.hgetall}
    values = {key: readers.get(client.type(key), lambda _: "")(key) for key in client.scan_iter("easel:*")}
    return sorted(key for key, value in values.items() if job_id in f"{key} {value}")


def stored_blobs(services: Services, prefix: str = "") -> dict[str, bytes]:
    return {blob.key: services.blobs.get(blob.key) for blob in services.blobs.list(prefix)}


def remaining(services: Services, *job_ids: str) -> list[str]:
    """Return the keys in Redis and the store that still belong to the jobs."""
    return [
        key
        for job_id in job_ids
        for key in (*redis_keys(services, job_id), *stored_blobs(services, keys.job_prefix(job_id)))
    ]


def read_jobs(services: Services, *job_ids: str) -> list[tuple[Job, dict[str, bytes]]]:
    """Return the jobs with all their blobs, to compare them before and after."""
    return [(services.ledger.get(job_id), stored_blobs(services, keys.job_prefix(job_id))) for job_id in job_ids]


def input_hashes(services: Services) -> set[str]:
    return {key.removeprefix("inputs/") for key in stored_blobs(services, "inputs/")}


def run_garbage_collection(services: Services) -> Counter[str | None]:
    """Run one garbage collection to its end; return what it did."""
    effects = Counter(collect_garbage(services))
    del effects[None]
    return effects


class Crash(BaseException):
    """Simulates the end of the process."""


class InterruptedStore:
    """A blob store with an interruption at the n-th call, "before" or "after" the call takes effect."""

    def __init__(self, blobs: BlobStore, at: int, when: str, interruption: Callable[[], object]) -> None:
        self.calls = 0
        self._blobs, self._at, self._when, self._interruption = blobs, at, when, interruption

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._blobs, name)

        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            due = self.calls == self._at
            if due and self._when == "before":
                self._interruption()
            result = method(*args, **options)
            result = iter(list(result)) if name == "list" else result
            if due and self._when == "after":
                self._interruption()
            return result

        return call


def interrupt_each_call(
    services: Services, when: str, interruption: Callable[[], object]
) -> Iterator[tuple[Services, InterruptedStore]]:
    """Yield the services with an interruption at the first, second ... call, until there is no such call."""
    for number in count(1):
        store = InterruptedStore(services.blobs, number, when, interruption)
        yield replace(services, blobs=store), store
        if store.calls < number:
            return


def crash() -> None:
    raise Crash


def fail_once() -> None:
    raise StorageUnavailable
