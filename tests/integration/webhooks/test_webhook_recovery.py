"""Webhooks whose sender dies, or whose Redis loses its data, before they are delivered."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from support.fixtures.ledger import request
from support.fixtures.webhooks import NO_CONTENT, SECRETS, deliver_next, received, submit_and_cancel, submit_job
from support.retention import redis_client
from support.scripted_server import Handler, ScriptedServer, serve

from easel.models import JobState
from shared.jobs.job import WEBHOOK_EVENTS, WEBHOOK_RETRY_SECONDS
from shared.recovery import job_files
from shared.recovery.rebuild import rebuild_ledger
from shared.services import Services, ensure_paired
from shared.settings import Settings
from worker.webhooks.sender import WebhookSender


def test_a_sender_that_lost_its_lease_records_nothing(services: Services, receiver: ScriptedServer) -> None:
    job_id = submit_and_cancel(services, receiver.url)
    late, current = services.outbox.take(lease_seconds=-1), services.outbox.take(lease_seconds=60)
    assert late is not None
    assert current is not None
    assert (late.id, late.attempt, current.attempt) == (current.id, 1, 2)
    WebhookSender(services).deliver(late)
    assert services.outbox.deliveries(job_id) == []
    WebhookSender(services).deliver(current)
    assert [one.delivered for one in services.outbox.deliveries(job_id)] == [True]


def test_a_reaper_that_is_killed_before_it_records_a_delivery_leaves_it_to_the_next(
    services: Services, tmp_path: Path
) -> None:
    reapers: list[subprocess.Popen[bytes]] = []
    delivered_again = threading.Event()

    def kill_reaper(_: Handler) -> None:
        reapers[0].kill()

    def accept(handler: Handler) -> None:
        NO_CONTENT(handler)
        delivered_again.set()

    with serve(kill_reaper, accept) as receiver:
        job_id = submit_and_cancel(services, receiver.url)
        try:
            reapers.append(_reaper(services.settings, tmp_path))
            assert reapers[0].wait(60) == -signal.SIGKILL
            assert services.outbox.deliveries(job_id) == []
            reapers.append(_reaper(services.settings, tmp_path))
            assert delivered_again.wait(60), (tmp_path / "reaper.log").read_text()
            assert received(receiver) == [(f"{job_id}-canceled", "job.canceled")] * 2
        finally:
            for reaper in reapers:
                reaper.terminate()
            assert reapers[-1].wait(30) == 0


def _reaper(settings: Settings, folder: Path) -> "subprocess.Popen[bytes]":
    values = {"redis_url": settings.redis_url, "store_url": settings.store_url, "webhook_private": "true"}
    values |= {"webhook_secret": ",".join(SECRETS), "webhook_seconds": "0.5", "reaper_seconds": "0.5"}
    environment = os.environ | {f"EASEL_{name.upper()}": value for name, value in values.items()}
    with (folder / "reaper.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "worker", "reaper"], env=environment, stdout=log, stderr=log)


def test_after_redis_lost_its_data_a_recent_end_is_sent_again_with_the_same_id(
    services: Services, sender: WebhookSender, receiver: ScriptedServer
) -> None:
    job_id, waiting = submit_and_cancel(services, receiver.url), submit_job(services, receiver.url)
    job_files.finalize(services.ledger, services.blobs, job_id)
    deliver_next(sender)
    redis_client(services).flushall()
    assert sender.take() is None
    assert rebuild_ledger(services) == 2
    assert ensure_paired(services)
    deliver_next(sender)
    assert sender.take() is None
    assert received(receiver) == [(f"{job_id}-canceled", "job.canceled")] * 2
    assert receiver.requests[0][3] == receiver.requests[1][3]
    services.ledger.request_control(waiting, "cancel")
    deliver_next(sender)
    assert received(receiver)[2:] == [(f"{waiting}-canceled", "job.canceled")]


def test_after_redis_lost_its_data_an_old_end_is_not_sent(services: Services, sender: WebhookSender) -> None:
    late, recent = request(events=WEBHOOK_EVENTS), request(events=WEBHOOK_EVENTS)
    services.ledger.restore(late, JobState.SUCCEEDED, completed_at=time.time() - sum(WEBHOOK_RETRY_SECONDS) - 60)
    assert sender.take() is None
    services.ledger.restore(recent, JobState.SUCCEEDED, completed_at=time.time() - sum(WEBHOOK_RETRY_SECONDS) + 60)
    assert sender.take() is not None
