"""Webhooks whose sender, or whose Redis, is lost on the way."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from support.fixtures.ledger import request
from support.fixtures.webhooks import SECRETS, TAKEN, canceled, deliver, order, told
from support.retention import redis
from support.scripted_server import Handler, Serving, serving

from easel.models import JobState
from shared.jobs.job import EVENTS, PAUSES
from shared.recovery import job_files
from shared.services import Services, ensure_paired
from shared.settings import Settings
from worker.webhooks.sender import Postman


def test_who_lost_its_lease_writes_nothing(services: Services, receiver: Serving) -> None:
    job_id = canceled(services, receiver.url)
    late, heir = services.outbox.take(lease_seconds=-1), services.outbox.take(lease_seconds=60)
    assert late is not None
    assert heir is not None
    assert (late.id, late.attempt, heir.attempt) == (heir.id, 1, 2)
    Postman(services).deliver(late)
    assert services.outbox.deliveries(job_id) == []
    Postman(services).deliver(heir)
    assert [one.delivered for one in services.outbox.deliveries(job_id)] == [True]


def test_a_reaper_that_is_killed_before_it_writes_down_a_delivery_leaves_it_to_the_next(
    services: Services, tmp_path: Path
) -> None:
    reapers: list[subprocess.Popen[bytes]] = []
    again = threading.Event()

    def kills(_: Handler) -> None:
        reapers[0].kill()

    def arrives(handler: Handler) -> None:
        TAKEN(handler)
        again.set()

    with serving(kills, arrives) as receiver:
        job_id = canceled(services, receiver.url)
        try:
            reapers.append(_reaper(services.settings, tmp_path))
            assert reapers[0].wait(60) == -signal.SIGKILL
            assert services.outbox.deliveries(job_id) == []
            reapers.append(_reaper(services.settings, tmp_path))
            assert again.wait(60), (tmp_path / "reaper.log").read_text()
            assert told(receiver) == [(f"{job_id}-canceled", "job.canceled")] * 2
        finally:
            for reaper in reapers:
                reaper.terminate()
            assert reapers[-1].wait(30) == 0


def _reaper(settings: Settings, folder: Path) -> "subprocess.Popen[bytes]":
    told = {"redis_url": settings.redis_url, "store_url": settings.store_url, "webhook_private": "true"}
    told |= {"webhook_secret": ",".join(SECRETS), "webhook_seconds": "0.5", "reaper_seconds": "0.5"}
    environment = os.environ | {f"EASEL_{name.upper()}": value for name, value in told.items()}
    with (folder / "reaper.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "worker", "reaper"], env=environment, stdout=log, stderr=log)


def test_after_the_loss_of_redis_a_recent_end_is_told_again_under_the_same_id(
    services: Services, postman: Postman, receiver: Serving
) -> None:
    job_id, waiting = canceled(services, receiver.url), order(services, receiver.url)
    job_files.seal(services.ledger, services.blobs, job_id)
    deliver(postman)
    redis(services).flushall()
    assert postman.take() is None
    assert job_files.reconcile(services) == 2
    assert ensure_paired(services)
    deliver(postman)
    assert postman.take() is None
    assert told(receiver) == [(f"{job_id}-canceled", "job.canceled")] * 2
    assert receiver.seen[0][3] == receiver.seen[1][3]
    services.ledger.request_control(waiting, "cancel")
    deliver(postman)
    assert told(receiver)[2:] == [(f"{waiting}-canceled", "job.canceled")]


def test_after_the_loss_of_redis_an_old_end_is_not_told(services: Services, postman: Postman) -> None:
    late, wanted = request(events=EVENTS), request(events=EVENTS)
    services.ledger.restore(late, JobState.SUCCEEDED, completed_at=time.time() - sum(PAUSES) - 60)
    assert postman.take() is None
    services.ledger.restore(wanted, JobState.SUCCEEDED, completed_at=time.time() - sum(PAUSES) + 60)
    assert postman.take() is not None
