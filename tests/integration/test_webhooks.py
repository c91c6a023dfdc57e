"""Webhooks from the act that posts an event to a real receiver, over a real Valkey."""

import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures_api import Submit, claim, succeed
from fixtures_ledger import request
from flask.testing import FlaskClient
from keeping import redis, traces
from missing import part_missing
from standardwebhooks import Webhook as Verifier
from tiny_server import Handler, Serving, says, serving

from shared import truth
from shared.job import JobState, Webhook
from shared.outbox import Letter
from shared.ports import Ports, establish
from shared.settings import Settings
from shared.webhook import EVENTS, literal
from worker.courier import Courier, Undelivered
from worker.postman import AT_ONCE, AT_ONCE_TO_ONE, PAUSES, Postman

SECRETS = ["whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)]
TAKEN = says(b"", 204)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With webhooks to this machine, and hardly a pause between tries."""
    told = {"webhook_secret": ",".join(SECRETS), "webhook_private": True, "webhook_pace": 1e-7, "queue_limit": 100}
    return Settings.model_validate({**settings.model_dump(), **told})


@pytest.fixture
def receiver() -> Iterator[Serving]:
    with serving(TAKEN) as found:
        yield found


@pytest.fixture
def postman(ports: Ports) -> Postman:
    return Postman(ports)


def order(ports: Ports, url: str, *events: str) -> str:
    """The id of a job that waits."""
    wanted = request(events=events or EVENTS, url=url)
    truth.write_request(ports.blobs, wanted)
    return ports.ledger.submit(wanted, queue_limit=100, remember_seconds=60)[0]


def canceled(ports: Ports, url: str) -> str:
    """The id of a job of which there is one event to be told."""
    job_id = order(ports, url)
    ports.ledger.steer(job_id, "cancel")
    return job_id


def due(postman: Postman) -> Letter:
    """The next event, as soon as its pause is over."""
    deadline = time.monotonic() + 20
    while (letter := postman.take()) is None:
        assert time.monotonic() < deadline, "nothing is due"
    return letter


def deliver(postman: Postman) -> None:
    postman.deliver(due(postman))


def told(receiver: Serving) -> list[tuple[str, str]]:
    """The id and type of all that was received."""
    return [(headers["webhook-id"], json.loads(body)["type"]) for _, _, headers, body in receiver.seen]


@contextmanager
def serving_post(postman: Postman) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=postman.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# What is sent.


def test_a_job_tells_its_webhook_that_it_started_and_how_it_ended_signed_with_each_secret(
    ports: Ports, postman: Postman, receiver: Serving
) -> None:
    job_id = order(ports, f"{receiver.url}/hook?a=b")
    held = claim(ports)
    deliver(postman)
    succeed(ports, held)
    deliver(postman)
    assert postman.take() is None
    assert told(receiver) == [(f"{job_id}-started", "job.started"), (f"{job_id}-succeeded", "job.succeeded")]
    for _, path, headers, body in receiver.seen:
        assert path == "/hook?a=b"
        for secret in SECRETS:
            assert Verifier(secret).verify(body, headers)["data"]["id"] == job_id
    started, ended = (json.loads(body) for *_, body in receiver.seen)
    assert (started["data"]["state"], ended["data"]["state"]) == ("running", "succeeded")
    assert (started["data"]["result"], ended["data"]["result"]) == (None, f"/v1/jobs/{job_id}/result")
    assert started["data"]["created_at"] < started["timestamp"] <= ended["timestamp"]


def test_a_job_that_is_claimed_again_does_not_start_again(ports: Ports, postman: Postman, receiver: Serving) -> None:
    job_id = order(ports, receiver.url)
    held = claim(ports)
    deliver(postman)
    ports.ledger.release(held, place="tail")
    held = claim(ports)
    assert postman.take() is None
    ports.ledger.finish(held, JobState.FAILED, error=None)
    deliver(postman)
    assert told(receiver) == [(f"{job_id}-started", "job.started"), (f"{job_id}-failed", "job.failed")]


def test_a_started_event_that_comes_late_still_says_what_was(ports: Ports, postman: Postman, receiver: Serving) -> None:
    order(ports, receiver.url, "job.started")
    succeed(ports, claim(ports))
    deliver(postman)
    assert json.loads(receiver.seen[0][3])["data"]["state"] == "running"


def test_a_canceled_job_tells_so_and_only_what_was_asked_for_is_told(
    ports: Ports, postman: Postman, receiver: Serving
) -> None:
    asked, _ = canceled(ports, receiver.url), order(ports, receiver.url, "job.failed", "job.succeeded")
    claim(ports)
    deliver(postman)
    assert postman.take() is None
    assert told(receiver) == [(f"{asked}-canceled", "job.canceled")]


# When it does not arrive.


def test_what_a_receiver_refuses_is_sent_again_with_the_same_id_and_logged(
    ports: Ports, postman: Postman, client: FlaskClient
) -> None:
    with serving(says(b"", 500), TAKEN) as receiver:
        job_id = canceled(ports, receiver.url)
        deliver(postman)
        deliver(postman)
        assert told(receiver) == [(f"{job_id}-canceled", "job.canceled")] * 2
        assert receiver.seen[0][3] == receiver.seen[1][3]
    first, second = client.get(f"/v1/jobs/{job_id}/deliveries").get_json()["deliveries"]
    assert (first["attempt"], first["status"], first["delivered"]) == (1, 500, False)
    assert first["next_attempt_at"] >= first["at"]
    assert (second["attempt"], second["status"], second["delivered"]) == (2, 204, True)
    assert (second["error"], second["next_attempt_at"], second["event"]) == (None, None, "job.canceled")


def test_after_three_days_it_is_given_up(ports: Ports, postman: Postman) -> None:
    with serving(says(b"", 500)) as receiver:
        job_id = canceled(ports, receiver.url)
        for _ in range(len(PAUSES) + 1):
            deliver(postman)
    *_, last = ports.outbox.deliveries(job_id)
    assert (last.attempt, last.next_attempt_at) == (len(PAUSES) + 1, None)
    assert redis(ports).zcard("easel:outbox") == 0
    assert redis(ports).keys("easel:letter:*") == []


def test_a_receiver_that_asks_for_patience_gets_it(ports: Ports, postman: Postman) -> None:
    with serving(says(b"", 503, Retry_After="600")) as receiver:
        job_id = canceled(ports, receiver.url)
        deliver(postman)
    (once,) = ports.outbox.deliveries(job_id)
    assert once.next_attempt_at is not None
    assert 599 < once.next_attempt_at - once.at < 660
    assert postman.take() is None


def test_a_receiver_that_is_gone_is_told_nothing_more_of_that_job(
    ports: Ports, postman: Postman, client: FlaskClient
) -> None:
    with serving(says(b"", 410), TAKEN) as receiver:
        job_id = order(ports, receiver.url)
        held = claim(ports)
        deliver(postman)
        succeed(ports, held)
        assert postman.take() is None
        assert len(receiver.seen) == 1
        assert client.get(f"/v1/jobs/{job_id}").get_json()["webhook"]["disabled"] is True
        other = canceled(ports, receiver.url)
        deliver(postman)
        assert told(receiver)[1:] == [(f"{other}-canceled", "job.canceled")]


def test_a_redirect_is_not_followed(ports: Ports, postman: Postman, receiver: Serving) -> None:
    with serving(says(b"", 307, Location=receiver.url)) as decoy:
        job_id = canceled(ports, decoy.url)
        deliver(postman)
    (once,) = ports.outbox.deliveries(job_id)
    assert (once.status, once.delivered) == (307, False)
    assert receiver.seen == []


def test_a_receiver_that_is_not_there_is_tried_again(ports: Ports, postman: Postman) -> None:
    job_id = canceled(ports, "http://127.0.0.1:1/")
    deliver(postman)
    (once,) = ports.outbox.deliveries(job_id)
    assert once.status is None
    assert "cannot be reached" in (once.error or "")
    assert due(postman).attempt == 2


def test_an_event_that_cannot_be_told_at_all_does_not_come_back_for_ever(ports: Ports, postman: Postman) -> None:
    job_id = canceled(ports, "http://[fe80::1%25nowhere]/")  # accepted where private addresses are
    for _ in range(len(PAUSES) + 1):
        deliver(postman)
    assert postman.take() is None
    assert not any(one.delivered for one in ports.outbox.deliveries(job_id))


# Nobody waits.


def test_a_receiver_that_hangs_delays_neither_a_job_nor_another_receiver(ports: Ports) -> None:
    held, arrived, both = threading.Event(), threading.Event(), threading.Semaphore(0)

    def hangs(handler: Handler) -> None:
        both.release()
        held.wait(60)
        TAKEN(handler)

    def arrives(handler: Handler) -> None:
        arrived.set()
        TAKEN(handler)

    patient = replace(ports, settings=ports.settings.model_copy(update={"webhook_seconds": 60.0}))
    with serving(hangs) as dead, serving(arrives) as alive:
        dead_url, alive_url = dead.url, alive.url
        for _ in range(AT_ONCE + 4):
            canceled(ports, dead_url)
        job_id = order(ports, alive_url)
        with serving_post(Postman(patient)):
            for _ in range(AT_ONCE_TO_ONE):
                assert both.acquire(timeout=20)
            succeed(ports, claim(ports))
            assert arrived.wait(20)
            assert ports.ledger.get(job_id).state is JobState.SUCCEEDED
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


def test_of_many_postmen_one_has_an_event_in_hand(ports: Ports) -> None:
    ids = {f"{canceled(ports, 'http://127.0.0.1:1/')}-canceled" for _ in range(40)}

    def clerk(_: int) -> list[str]:
        found = []
        while letter := ports.outbox.take(lease_seconds=60):
            found.append(letter.id)
        return found

    with ThreadPoolExecutor(8) as pool:
        taken = [event for mine in pool.map(clerk, range(8)) for event in mine]
    assert sorted(taken) == sorted(ids)


def test_who_lost_its_lease_writes_nothing(ports: Ports, receiver: Serving) -> None:
    job_id = canceled(ports, receiver.url)
    late, heir = ports.outbox.take(lease_seconds=-1), ports.outbox.take(lease_seconds=60)
    assert late is not None
    assert heir is not None
    assert (late.id, late.attempt, heir.attempt) == (heir.id, 1, 2)
    Postman(ports).deliver(late)
    assert ports.outbox.deliveries(job_id) == []
    Postman(ports).deliver(heir)
    assert [one.delivered for one in ports.outbox.deliveries(job_id)] == [True]


def test_a_reaper_that_is_killed_before_it_writes_down_a_delivery_leaves_it_to_the_next(
    ports: Ports, tmp_path: Path
) -> None:
    reapers: list[subprocess.Popen[bytes]] = []
    again = threading.Event()

    def kills(_: Handler) -> None:
        reapers[0].kill()

    def arrives(handler: Handler) -> None:
        TAKEN(handler)
        again.set()

    with serving(kills, arrives) as receiver:
        job_id = canceled(ports, receiver.url)
        try:
            reapers.append(_reaper(ports.settings, tmp_path))
            assert reapers[0].wait(60) == -signal.SIGKILL
            assert ports.outbox.deliveries(job_id) == []
            reapers.append(_reaper(ports.settings, tmp_path))
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


# Strangers' addresses.


@pytest.fixture
def careful(ports: Ports) -> Postman:
    """Who calls public addresses only."""
    return Postman(replace(ports, settings=ports.settings.model_copy(update={"webhook_private": False})))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_host_that_turns_out_to_be_this_machine_is_not_called(
    host: str, ports: Ports, careful: Postman, receiver: Serving
) -> None:
    job_id = canceled(ports, receiver.url.replace("127.0.0.1", host))
    deliver(careful)
    (once,) = ports.outbox.deliveries(job_id)
    assert "no public address" in (once.error or "")
    assert once.next_attempt_at is not None
    assert receiver.seen == []


def test_a_name_is_looked_up_once_so_that_it_cannot_mean_another_host_later(
    ports: Ports, postman: Postman, receiver: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, look_up = [], socket.getaddrinfo

    def spy(host: Any, *args: Any, **options: Any) -> Any:
        asked.append(host)
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", spy)
    canceled(ports, receiver.url.replace("127.0.0.1", "localhost"))
    deliver(postman)
    assert receiver.seen[0][2]["host"] == f"localhost:{receiver.port}"
    assert [host for host in asked if literal(str(host)) is None] == ["localhost"]


def test_no_proxy_of_the_environment_is_used(
    ports: Ports, postman: Postman, receiver: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    canceled(ports, receiver.url)
    deliver(postman)
    assert len(receiver.seen) == 1


@pytest.mark.parametrize(("name", "arrives"), [("localhost", True), ("elsewhere.example", False)])
def test_tls_asks_for_the_name_although_the_address_is_called(tmp_path: Path, name: str, *, arrives: bool) -> None:
    certificate = _certificate(tmp_path, name)
    here = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    here.load_cert_chain(certificate, tmp_path / "key.pem")
    trusting = ssl.create_default_context(cafile=str(certificate))
    with serving(TAKEN, tls=here) as receiver:
        send = _sending(Courier(private=True, seconds=20, tls=trusting), f"https://localhost:{receiver.port}/")
        if arrives:
            assert send() == 204
            assert receiver.seen[0][2]["host"] == f"localhost:{receiver.port}"
        else:
            with pytest.raises(Undelivered, match="cannot be reached"):
                send()
            assert receiver.seen == []


def _sending(courier: Courier, url: str) -> Callable[[], int]:
    return lambda: courier.post(url, {}, b"{}").status


def _certificate(folder: Path, name: str) -> Path:
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    try:
        subprocess.run(
            [*command, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True
        )
    except FileNotFoundError:
        part_missing("there is no openssl")
    return folder / "cert.pem"


# Submitting, deleting, losing Redis.


def test_a_webhook_is_submitted_kept_and_shown(submit: Submit, client: FlaskClient, ports: Ports) -> None:
    job = submit(webhook_url="https://example.com/a", webhook_events="job.failed,job.succeeded").get_json()
    assert job["webhook"] == {
        "url": "https://example.com/a",
        "events": ["job.succeeded", "job.failed"],
        "disabled": False,
    }
    assert client.get(f"/v1/jobs/{job['id']}").get_json()["webhook"] == job["webhook"]
    assert client.get(f"/v1/jobs/{job['id']}/deliveries").get_json() == {"deliveries": []}
    wanted = ports.ledger.get(job["id"]).request.webhook
    assert wanted == Webhook(url="https://example.com/a", events=("job.succeeded", "job.failed"))
    assert submit().get_json()["webhook"] is None


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ({"webhook_url": "ftp://example.com"}, 422, "invalid_webhook"),
        ({"webhook_events": "job.failed"}, 422, "invalid_webhook"),
        ({"webhook_url": "https://example.com", "webhook_events": "job.done"}, 422, "invalid_webhook"),
        ({"webhook_url": b"https://example.com"}, 400, "malformed_request"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused_and_nothing_kept(
    parts: dict[str, Any], status: int, code: str, submit: Submit, kept: Callable[[], object]
) -> None:
    before = kept()
    answer = submit(**parts)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert kept() == before


def test_the_same_key_with_another_webhook_is_another_request(submit: Submit) -> None:
    once = {"headers": {"Idempotency-Key": "k"}, "webhook_url": "https://example.com/a"}
    first = submit(**once).get_json()
    assert submit(**once).get_json()["id"] == first["id"]
    assert submit(**once | {"webhook_url": "https://example.com/b"}).get_json()["code"] == "idempotency_key_reused"


def test_a_deletion_takes_what_was_not_yet_told_and_the_log(
    ports: Ports, postman: Postman, client: FlaskClient
) -> None:
    with serving(says(b"", 500)) as receiver:
        job_id = canceled(ports, receiver.url)
        deliver(postman)
        letter = due(postman)
        assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
        postman.deliver(letter)
    assert postman.take() is None
    assert traces(ports, job_id) == []
    assert client.get(f"/v1/jobs/{job_id}/deliveries").get_json()["code"] == "job_not_found"


def test_after_the_loss_of_redis_a_recent_end_is_told_again_under_the_same_id(
    ports: Ports, postman: Postman, receiver: Serving
) -> None:
    job_id, waiting = canceled(ports, receiver.url), order(ports, receiver.url)
    truth.seal(ports.ledger, ports.blobs, job_id)
    deliver(postman)
    redis(ports).flushall()
    assert postman.take() is None
    assert truth.reconcile(ports) == 2
    assert establish(ports)
    deliver(postman)
    assert postman.take() is None
    assert told(receiver) == [(f"{job_id}-canceled", "job.canceled")] * 2
    assert receiver.seen[0][3] == receiver.seen[1][3]
    ports.ledger.steer(waiting, "cancel")
    deliver(postman)
    assert told(receiver)[2:] == [(f"{waiting}-canceled", "job.canceled")]


def test_after_the_loss_of_redis_an_old_end_is_not_told(ports: Ports, postman: Postman) -> None:
    wanted = request(events=EVENTS)
    ports.ledger.restore(wanted, JobState.SUCCEEDED, completed_at=time.time() - 4 * 86_400)
    assert postman.take() is None
