"""Webhooks that fail or are slow: they are retried, and nothing else waits for them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from support.background import in_background
from support.fixtures.api import claim, succeed
from support.fixtures.webhooks import (
    NO_CONTENT,
    deliver_next,
    next_event,
    received,
    submit_and_cancel,
    submit_job,
)
from support.retention import redis_client
from support.scripted_server import Handler, ScriptedServer, reply, serve

from easel.models import JobState
from shared.jobs.job import WEBHOOK_RETRY_SECONDS
from shared.ledger.ledger import NAMESPACE
from shared.services import Services
from worker.webhooks.http import DeliveryFailed, WebhookClient
from worker.webhooks.sender import MAX_DELIVERIES, MAX_DELIVERIES_PER_RECEIVER, WebhookSender

# Failures.


def test_a_refused_event_is_sent_again_with_the_same_id_and_logged(
    services: Services, sender: WebhookSender, client: FlaskClient
) -> None:
    with serve(reply(b"", 500), NO_CONTENT) as receiver:
        job_id = submit_and_cancel(services, receiver.url)
        deliver_next(sender)
        deliver_next(sender)
        assert received(receiver) == [(f"{job_id}-canceled", "job.canceled")] * 2
        assert receiver.requests[0][3] == receiver.requests[1][3]
    first, second = client.get(f"/v1/jobs/{job_id}/deliveries").get_json()["deliveries"]
    assert (first["attempt"], first["status"], first["delivered"]) == (1, 500, False)
    assert first["next_attempt_at"] >= first["at"]
    assert (second["attempt"], second["status"], second["delivered"]) == (2, 204, True)
    assert (second["error"], second["next_attempt_at"], second["event"]) == (None, None, "job.canceled")


def test_the_backlog_says_how_late_the_oldest_due_event_is(services: Services, receiver: ScriptedServer) -> None:
    client, outbox = redis_client(services), f"{NAMESPACE}:outbox"
    assert services.outbox.backlog() == (0, 0)
    for _ in range(2):
        submit_and_cancel(services, receiver.url)
    late, other = client.zrange(outbox, 0, -1)
    client.zincrby(outbox, -1000, late)
    count, overdue_seconds = services.outbox.backlog()
    assert (count, round(overdue_seconds, -3)) == (2, 1000)
    for event in (late, other):
        client.zincrby(outbox, 5000, event)
    assert services.outbox.backlog() == (2, 0), "both wait for their next attempt"


def test_an_event_is_dropped_after_three_days(services: Services, sender: WebhookSender) -> None:
    with serve(reply(b"", 500)) as receiver:
        job_id = submit_and_cancel(services, receiver.url)
        for _ in range(len(WEBHOOK_RETRY_SECONDS) + 1):
            deliver_next(sender)
    *_, last = services.outbox.deliveries(job_id)
    assert (last.attempt, last.next_attempt_at) == (len(WEBHOOK_RETRY_SECONDS) + 1, None)
    assert redis_client(services).zcard("easel:outbox") == 0
    assert redis_client(services).keys("easel:outbox:*") == []


def test_a_longer_delay_in_retry_after_is_respected(services: Services, sender: WebhookSender) -> None:
    with serve(reply(b"", 503, Retry_After="600")) as receiver:
        job_id = submit_and_cancel(services, receiver.url)
        deliver_next(sender)
    (attempt,) = services.outbox.deliveries(job_id)
    assert attempt.next_attempt_at is not None
    assert 599 < attempt.next_attempt_at - attempt.at < 660
    assert sender.take() is None


def test_after_410_gone_no_more_events_of_that_job_are_sent(
    services: Services, sender: WebhookSender, client: FlaskClient
) -> None:
    with serve(reply(b"", 410), NO_CONTENT) as receiver:
        job_id = submit_job(services, receiver.url)
        held = claim(services)
        deliver_next(sender)
        succeed(services, held)
        assert sender.take() is None
        assert len(receiver.requests) == 1
        assert client.get(f"/v1/jobs/{job_id}").get_json()["webhook"]["disabled"] is True
        other = submit_and_cancel(services, receiver.url)
        deliver_next(sender)
        assert received(receiver)[1:] == [(f"{other}-canceled", "job.canceled")]


def test_a_redirect_is_not_followed(services: Services, sender: WebhookSender, receiver: ScriptedServer) -> None:
    with serve(reply(b"", 307, Location=receiver.url)) as decoy:
        job_id = submit_and_cancel(services, decoy.url)
        deliver_next(sender)
    (attempt,) = services.outbox.deliveries(job_id)
    assert (attempt.status, attempt.delivered) == (307, False)
    assert receiver.requests == []


def test_an_event_is_retried_if_the_receiver_cannot_be_reached(services: Services, sender: WebhookSender) -> None:
    job_id = submit_and_cancel(services, "http://127.0.0.1:1/")
    deliver_next(sender)
    (attempt,) = services.outbox.deliveries(job_id)
    assert attempt.status is None
    assert "cannot be reached" in (attempt.error or "")
    assert next_event(sender).attempt == 2


def test_an_event_that_can_never_be_sent_is_not_retried_forever(services: Services, sender: WebhookSender) -> None:
    job_id = submit_and_cancel(services, "http://[fe80::1%25nowhere]/")  # accepted where private addresses are
    for _ in range(len(WEBHOOK_RETRY_SECONDS) + 1):
        deliver_next(sender)
    assert sender.take() is None
    assert not any(one.delivered for one in services.outbox.deliveries(job_id))


# Isolation.


def test_a_receiver_that_hangs_delays_neither_a_job_nor_another_receiver(services: Services) -> None:
    released, arrived, hanging = threading.Event(), threading.Event(), threading.Semaphore(0)

    def hang(handler: Handler) -> None:
        hanging.release()
        released.wait(60)
        NO_CONTENT(handler)

    def accept(handler: Handler) -> None:
        arrived.set()
        NO_CONTENT(handler)

    patient = replace(services, settings=services.settings.model_copy(update={"webhook_seconds": 60.0}))
    with serve(hang) as dead, serve(accept) as alive:
        dead_url, alive_url = dead.url, alive.url
        for _ in range(MAX_DELIVERIES + 4):
            submit_and_cancel(services, dead_url)
        job_id = submit_job(services, alive_url)
        with in_background(WebhookSender(patient).run):
            for _ in range(MAX_DELIVERIES_PER_RECEIVER):
                assert hanging.acquire(timeout=20)
            succeed(services, claim(services))
            assert arrived.wait(20)
            assert services.ledger.get(job_id).state is JobState.SUCCEEDED
            assert not released.is_set()
            assert len(dead.requests) == MAX_DELIVERIES_PER_RECEIVER
            released.set()


def test_a_receiver_that_responds_byte_by_byte_is_cut_off() -> None:
    def send_slowly(handler: Handler) -> None:
        try:
            for _ in range(2000):
                handler.wfile.write(b"H")
                handler.wfile.flush()
                time.sleep(0.01)  # the receiver is slow; the test does not wait for this
        except OSError:
            handler.close_connection = True

    with serve(send_slowly) as receiver, pytest.raises(DeliveryFailed, match=r"within 0\.3 seconds"):
        WebhookClient(private=True, seconds=0.3).post(receiver.url, {}, b"{}")


def test_concurrent_senders_never_take_the_same_event(services: Services) -> None:
    expected = {f"{submit_and_cancel(services, 'http://127.0.0.1:1/')}-canceled" for _ in range(40)}

    def take_all(_: int) -> list[str]:
        ids = []
        while event := services.outbox.take(lease_seconds=60):
            ids.append(event.id)
        return ids

    with ThreadPoolExecutor(8) as pool:
        taken = [event_id for ids in pool.map(take_all, range(8)) for event_id in ids]
    assert sorted(taken) == sorted(expected)
