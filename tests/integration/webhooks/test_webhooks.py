"""Webhooks as they are submitted, shown, sent to a real receiver and deleted, over a real Valkey."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from standardwebhooks import Webhook as Verifier
from support.fixtures.api import Submit, claim, succeed
from support.fixtures.webhooks import SECRETS, canceled, deliver, due, order, told
from support.retention import traces
from support.scripted_server import Serving, says, serving

from easel.models import JobState
from shared.jobs.job import Webhook
from shared.services import Services
from worker.webhooks.sender import Postman

# What is sent.


def test_a_job_tells_its_webhook_that_it_started_and_how_it_ended_signed_with_each_secret(
    services: Services, postman: Postman, receiver: Serving
) -> None:
    job_id = order(services, f"{receiver.url}/hook?a=b")
    held = claim(services)
    deliver(postman)
    succeed(services, held)
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


def test_a_job_that_is_claimed_again_does_not_start_again(
    services: Services, postman: Postman, receiver: Serving
) -> None:
    job_id = order(services, receiver.url)
    held = claim(services)
    deliver(postman)
    services.ledger.release(held, place="tail")
    held = claim(services)
    assert postman.take() is None
    services.ledger.finish(held, JobState.FAILED, error=None)
    deliver(postman)
    assert told(receiver) == [(f"{job_id}-started", "job.started"), (f"{job_id}-failed", "job.failed")]


def test_a_started_event_that_comes_late_still_says_what_was(
    services: Services, postman: Postman, receiver: Serving
) -> None:
    order(services, receiver.url, "job.started")
    succeed(services, claim(services))
    deliver(postman)
    assert json.loads(receiver.seen[0][3])["data"]["state"] == "running"


def test_a_canceled_job_tells_so_and_only_what_was_asked_for_is_told(
    services: Services, postman: Postman, receiver: Serving
) -> None:
    asked, _ = canceled(services, receiver.url), order(services, receiver.url, "job.failed", "job.succeeded")
    claim(services)
    deliver(postman)
    assert postman.take() is None
    assert told(receiver) == [(f"{asked}-canceled", "job.canceled")]


# Submitting and deleting.


def test_a_webhook_is_submitted_kept_and_shown(submit: Submit, client: FlaskClient, services: Services) -> None:
    job = submit(webhook_url="https://example.com/a", webhook_events="job.failed,job.succeeded").get_json()
    assert job["webhook"] == {
        "url": "https://example.com/a",
        "events": ["job.succeeded", "job.failed"],
        "disabled": False,
    }
    assert client.get(f"/v1/jobs/{job['id']}").get_json()["webhook"] == job["webhook"]
    assert client.get(f"/v1/jobs/{job['id']}/deliveries").get_json() == {"deliveries": []}
    wanted = services.ledger.get(job["id"]).request.webhook
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
    services: Services, postman: Postman, client: FlaskClient
) -> None:
    with serving(says(b"", 500)) as receiver:
        job_id = canceled(services, receiver.url)
        deliver(postman)
        letter = due(postman)
        assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
        postman.deliver(letter)
    assert postman.take() is None
    assert traces(services, job_id) == []
    assert client.get(f"/v1/jobs/{job_id}/deliveries").get_json()["code"] == "job_not_found"
