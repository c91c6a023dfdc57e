"""Webhooks that do not arrive, or not soon: they are tried again, and nobody else waits for them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import claim, succeed
from support.fixtures.webhooks import TAKEN, canceled, deliver, due, order, serving_post, told
from support.retention import redis
from support.scripted_server import Handler, Serving, says, serving

from easel.models import JobState
from shared.jobs.job import PAUSES
from shared.services import Services
from worker.webhooks.http import Courier, Undelivered
from worker.webhooks.sender import AT_ONCE, AT_ONCE_TO_ONE, Postman

# When it does not arrive.


def test_what_a_receiver_refuses_is_sent_again_with_the_same_id_and_logged(
    services: Services, postman: Postman, client: FlaskClient
) -> None:
    with serving(says(b"", 500), TAKEN) as receiver:
        job_id = canceled(services, receiver.url)
        deliver(postman)
        deliver(postman)
        assert told(receiver) == [(f"{job_id}-canceled", "job.canceled")] * 2
        assert receiver.seen[0][3] == receiver.seen[1][3]
    first, second = client.get(f"/v1/jobs/{job_id}/deliveries").get_json()["deliveries"]
    assert (first["attempt"], first["status"], first["delivered"]) == (1, 500, False)
    assert first["next_attempt_at"] >= first["at"]
    assert (second["attempt"], second["status"], second["delivered"]) == (2, 204, True)
    assert (second["error"], second["next_attempt_at"], second["event"]) == (None, None, "job.canceled")


def test_after_three_days_it_is_given_up(services: Services, postman: Postman) -> None:
    with serving(says(b"", 500)) as receiver:
        job_id = canceled(services, receiver.url)
        for _ in range(len(PAUSES) + 1):
            deliver(postman)
    *_, last = services.outbox.deliveries(job_id)
    assert (last.attempt, last.next_attempt_at) == (len(PAUSES) + 1, None)
    assert redis(services).zcard("easel:outbox") == 0
    assert redis(services).keys("easel:letter:*") == []


def test_a_receiver_that_asks_for_patience_gets_it(services: Services, postman: Postman) -> None:
    with serving(says(b"", 503, Retry_After="600")) as receiver:
        job_id = canceled(services, receiver.url)
        deliver(postman)
    (once,) = services.outbox.deliveries(job_id)
    assert once.next_attempt_at is not None
    assert 599 < once.next_attempt_at - once.at < 660
    assert postman.take() is None


def test_a_receiver_that_is_gone_is_told_nothing_more_of_that_job(
    services: Services, postman: Postman, client: FlaskClient
) -> None:
    with serving(says(b"", 410), TAKEN) as receiver:
        job_id = order(services, receiver.url)
        held = claim(services)
        deliver(postman)
        succeed(services, held)
        assert postman.take() is None
        assert len(receiver.seen) == 1
        assert client.get(f"/v1/jobs/{job_id}").get_json()["webhook"]["disabled"] is True
        other = canceled(services, receiver.url)
        deliver(postman)
        assert told(receiver)[1:] == [(f"{other}-canceled", "job.canceled")]


def test_a_redirect_is_not_followed(services: Services, postman: Postman, receiver: Serving) -> None:
    with serving(says(b"", 307, Location=receiver.url)) as decoy:
        job_id = canceled(services, decoy.url)
        deliver(postman)
    (once,) = services.outbox.deliveries(job_id)
    assert (once.status, once.delivered) == (307, False)
    assert receiver.seen == []


def test_a_receiver_that_is_not_there_is_tried_again(services: Services, postman: Postman) -> None:
    job_id = canceled(services, "http://127.0.0.1:1/")
    deliver(postman)
    (once,) = services.outbox.deliveries(job_id)
    assert once.status is None
    assert "cannot be reached" in (once.error or "")
    assert due(postman).attempt == 2


def test_an_event_that_cannot_be_told_at_all_does_not_come_back_for_ever(services: Services, postman: Postman) -> None:
    job_id = canceled(services, "http://[fe80::1%25nowhere]/")  # accepted where private addresses are
    for _ in range(len(PAUSES) + 1):
        deliver(postman)
    assert postman.take() is None
    assert not any(one.delivered for one in services.outbox.deliveries(job_id))


# Nobody waits.


def test_a_receiver_that_hangs_delays_neither_a_job_nor_another_receiver(services: Services) -> None:
    held, arrived, both = threading.Event(), threading.Event(), threading.Semaphore(0)

    def hangs(handler: Handler) -> None:
        both.release()
        held.wait(60)
        TAKEN(handler)

    def arrives(handler: Handler) -> None:
        arrived.set()
        TAKEN(handler)

    patient = replace(services, settings=services.settings.model_copy(update={"webhook_seconds": 60.0}))
    with serving(hangs) as dead, serving(arrives) as alive:
        dead_url, alive_url = dead.url, alive.url
        for _ in range(AT_ONCE + 4):
            canceled(services, dead_url)
        job_id = order(services, alive_url)
        with serving_post(Postman(patient)):
            for _ in range(AT_ONCE_TO_ONE):
                assert both.acquire(timeout=20)
            succeed(services, claim(services))
            assert arrived.wait(20)
            assert services.ledger.get(job_id).state is JobState.SUCCEEDED
            assert not held.is_set()
            assert len(dead.seen) == AT_ONCE_TO_ONE
            held.set()


def test_a_receiver_that_drips_is_cut_off() -> None:
    def drips(handler: Handler) -> None:
        try:
            for _ in range(2000):
                handler.wfile.write(b"H")
                handler.wfile.flush()
                time.sleep(0.01)  # what it does to us, not what we wait for
        except OSError:
            handler.close_connection = True

    with serving(drips) as receiver, pytest.raises(Undelivered, match=r"within 0\.3 seconds"):
        Courier(private=True, seconds=0.3).post(receiver.url, {}, b"{}")


def test_of_many_postmen_one_has_an_event_in_hand(services: Services) -> None:
    ids = {f"{canceled(services, 'http://127.0.0.1:1/')}-canceled" for _ in range(40)}

    def clerk(_: int) -> list[str]:
        found = []
        while letter := services.outbox.take(lease_seconds=60):
            found.append(letter.id)
        return found

    with ThreadPoolExecutor(8) as pool:
        taken = [event for mine in pool.map(clerk, range(8)) for event in mine]
    assert sorted(taken) == sorted(ids)
