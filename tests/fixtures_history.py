"""A ledger on a Valkey that writes an append-only file, and who acts in it: what the audit reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos import history
from chaos.history import Story
from fixtures_ledger import EXHAUSTED, request
from fixtures_valkey import Valkey

from shared import keys
from shared.job import EVENTS, JobState, Progress, Request
from shared.ledger import NAMESPACE, Claim, Ledger, connect
from shared.outbox import Delivery, Outbox

LEASE = 60.0


class Scene:
    """A ledger with a history, and who acts in it."""

    def __init__(self, folder: Path, valkey: Valkey) -> None:
        self.folder, self.valkey = folder, valkey
        self.redis: Any = connect(valkey.url, timeout=30)
        self.ledger = Ledger(self.redis)
        self.ledger.adopt("test")

    def submit(self) -> Request:
        wanted = request(events=EVENTS)
        self.ledger.submit(wanted, queue_limit=9, remember_seconds=60)
        return wanted

    def claim(self, worker: str = "w", lease: float = LEASE) -> Claim:
        found = self.ledger.claim(worker, ("standard",), lease_seconds=lease)
        assert found is not None
        return found

    def renew(self, claim: Claim, **fields: Any) -> None:
        self.ledger.renew(claim, lease_seconds=LEASE, **fields)

    def paint(self, claim: Claim, step: int) -> None:
        self.renew(claim, event=("progress", {"step": step}), progress=progress(step))

    def keep(self, claim: Claim, step: int) -> None:
        self.renew(claim, checkpoint=keys.checkpoint(claim.job.id, claim.token, step), attempts=0)

    def finish(self, claim: Claim, state: JobState = JobState.SUCCEEDED) -> str:
        key = keys.result(claim.job.id, claim.token)
        self.ledger.finish(claim, state, progress=progress(55, "done"), result=key)
        return key

    def lose(self, claim: Claim) -> None:
        self.redis.zadd(f"{NAMESPACE}:leases", {claim.job.id: 0})
        self.reap()

    def reap(self, limit: int = 3) -> None:
        self.ledger.reap(attempts_limit=limit, exhausted=EXHAUSTED)

    def tell(self, *, gone: bool) -> None:
        """Take one event out of the outbox, and write down that its receiver had or refused it."""
        outbox = Outbox(self.redis)
        letter = outbox.take(lease_seconds=LEASE)
        assert letter is not None
        outbox.settle(letter, Delivery(id=letter.id, event=letter.event, attempt=1, at=0), pause=None, gone=gone)

    def put(self, job_id: str, **fields: str) -> None:
        self.redis.hset(f"{NAMESPACE}:job:{job_id}", mapping=fields)

    def stories(self) -> dict[str, Story]:
        return history.read(self.folder)

    def story(self) -> Story:
        (only,) = self.stories().values()
        return only


def progress(step: int, phase: str = "160 px") -> Progress:
    return Progress(phase=phase, current=step, total=55)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    always = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
    valkey = Valkey(tmp_path, *always)
    valkey.start()
    scene = Scene(tmp_path, valkey)
    yield scene
    scene.redis.close()
    valkey.stop()


def hows(story: Story) -> list[str]:
    return [claim.how_it_ended for claim in story.claims]
