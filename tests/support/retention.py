"""Jobs in every state, ways to age and lose them, and stores where something happens at a given call."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import uuid_utils

from shared.errors import BlobsUnavailable
from shared.jobs.job import Job, Request
from shared.ledger.ledger import Claim
from shared.recipe import PRESETS
from shared.recovery.job_files import seal, write_request
from shared.services import Services
from shared.storage import BlobStore, keys
from support.fixtures.api import claim, succeed, work
from worker.maintenance.garbage_collection import DAY, upkeep


def sent(services: Services, content: str = "photo", *, tier: str = "batch", key: str | None = None) -> str:
    """A job that waits."""
    request = Request(
        id=str(uuid_utils.uuid7()),
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


def started(services: Services, content: str = "photo", *, key: str | None = None) -> Claim:
    """A job that runs and has a preview and a checkpoint."""
    job_id, held = sent(services, content, tier="standard", key=key), claim(services)  # the tier that is served first
    assert held.job.id == job_id
    work(services, held, 3)
    checkpoint = keys.checkpoint(job_id, held.token, 3)
    services.blobs.put(checkpoint, b"state")
    services.ledger.renew(held, lease_seconds=600, checkpoint=checkpoint)
    return held


def ended(services: Services, content: str = "photo", *, sealed: bool = True) -> str:
    """A job that succeeded."""
    held = started(services, content, key=str(uuid_utils.uuid7()))
    succeed(services, held)
    if sealed:
        seal(services.ledger, services.blobs, held.job.id)
    return held.job.id


def expired(services: Services, content: str = "photo", *, sealed: bool = True) -> str:
    """A job that succeeded longer ago than jobs are kept."""
    job_id = ended(services, content, sealed=sealed)
    redis(services).zadd("easel:completed", {job_id: time.time() - 31 * DAY})
    return job_id


def lost(services: Services, job_id: str) -> str:
    """The job, after Redis forgot it and nothing else."""
    client = redis(services)
    for key in mentions(services, job_id):
        if client.type(key) == "zset":
            client.zrem(key, job_id)
        else:
            client.delete(key)
    return job_id


def redis(services: Services) -> Any:
    return services.ledger._redis


def age(services: Services, seconds: float = 2 * DAY) -> None:
    """Make all blobs older."""
    for path in Path(services.settings.store_url.removeprefix("file://")).rglob("*"):
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


def mentions(services: Services, job_id: str) -> list[str]:
    """Redis' keys that are the job's or name it."""
    client = redis(services)
    look = {"zset": lambda key: client.zrange(key, 0, -1), "string": client.get, "hash": client.hgetall}
    found = {key: look.get(client.type(key), lambda _: "")(key) for key in client.scan_iter("easel:*")}
    return sorted(key for key, value in found.items() if job_id in f"{key} {value}")


def stored(services: Services, prefix: str = "") -> dict[str, bytes]:
    return {blob.key: services.blobs.get(blob.key) for blob in services.blobs.list(prefix)}


def traces(services: Services, *job_ids: str) -> list[str]:
    """All that is left of the jobs."""
    return [trace for one in job_ids for trace in (*mentions(services, one), *stored(services, keys.everything(one)))]


def seen(services: Services, *job_ids: str) -> list[tuple[Job, dict[str, bytes]]]:
    """The jobs with all that is kept of them, to be compared before and after."""
    return [(services.ledger.get(one), stored(services, keys.everything(one))) for one in job_ids]


def inputs(services: Services) -> set[str]:
    return {key.removeprefix("inputs/") for key in stored(services, "inputs/")}


def run(services: Services) -> Counter[str | None]:
    """A whole run of the upkeep; what it did."""
    done = Counter(upkeep(services))
    del done[None]
    return done


class Crash(BaseException):
    """The process is no more."""


class Eventful:
    """A store where something happens at the n-th call, right before or right after it takes effect."""

    def __init__(self, blobs: BlobStore, at: int, when: str, event: Callable[[], object]) -> None:
        self.calls = 0
        self._blobs, self._at, self._when, self._event = blobs, at, when, event

    def __getattr__(self, name: str) -> Callable[..., Any]:
        act = getattr(self._blobs, name)

        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            due = self.calls == self._at
            if due and self._when == "before":
                self._event()
            answer = act(*args, **options)
            answer = iter(list(answer)) if name == "list" else answer
            if due and self._when == "after":
                self._event()
            return answer

        return call


def each_call(services: Services, when: str, event: Callable[[], object]) -> Iterator[tuple[Services, Eventful]]:
    """The same ports again and again, with the event at the first, second ... call, until there is no such call."""
    for number in count(1):
        eventful = Eventful(services.blobs, number, when, event)
        yield replace(services, blobs=eventful), eventful
        if eventful.calls < number:
            return


def crash() -> None:
    raise Crash


def stumble() -> None:
    raise BlobsUnavailable
