"""Webhooks: submitted, shown, sent to a real receiver and deleted, with a real Valkey."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from standardwebhooks import Webhook as Verifier
from support.fixtures.api import Submit, claim, succeed
from support.fixtures.webhooks import (
    METADATA,
    SECRETS,
    deliver_next,
    next_event,
    received,
    submit_and_cancel,
    submit_job,
)
from support.retention import redis_keys
from support.scripted_server import ScriptedServer, reply, serve

from easel.models import JobState
from shared.jobs.job import WebhookTarget
from shared.services import Services, open_services
from shared.settings import Settings
from worker.webhooks.sender import WebhookSender

# Sending.


def test_the_start_and_the_end_of_a_job_are_sent_signed_with_each_secret(
    services: Services, sender: WebhookSender, receiver: ScriptedServer
) -> None:
    job_id = submit_job(services, f"{receiver.url}/hook?a=b")
    held = claim(services)
    deliver_next(sender)
    succeed(services, held)
    deliver_next(sender)
    assert sender.take() is None
    assert received(receiver) == [(f"{job_id}-started", "job.started"), (f"{job_id}-succeeded", "job.succeeded")]
    for _, path, headers, body in receiver.requests:
        assert path == "/hook?a=b"
        for secret in SECRETS:
            assert Verifier(secret).verify(body, headers)["data"]["id"] == job_id
    started, ended = (json.loads(body) for *_, body in receiver.requests)
    assert (started["data"]["state"], ended["data"]["state"]) == ("running", "succeeded")
    assert (started["data"]["result"], ended["data"]["result"]) == (None, f"/v1/jobs/{job_id}/result")
    assert started["data"]["metadata"] == ended["data"]["metadata"] == METADATA
    assert started["data"]["created_at"] < started["timestamp"] <= ended["timestamp"]


def test_with_a_public_url_the_body_has_whole_urls(
    settings: Settings, services: Services, receiver: ScriptedServer
) -> None:
    public = settings.model_copy(update={"public_url": "https://example.com/easel"})
    job_id = submit_job(services, receiver.url, "job.succeeded")
    succeed(services, claim(services))
    deliver_next(WebhookSender(open_services(public)))
    data = json.loads(receiver.requests[0][3])["data"]
    url = f"https://example.com/easel/v1/jobs/{job_id}"
    assert (data["url"], data["result"]) == (url, f"{url}/result")


def test_a_job_that_is_claimed_again_sends_no_second_start(
    services: Services, sender: WebhookSender, receiver: ScriptedServer
) -> None:
    job_id = submit_job(services, receiver.url)
    held = claim(services)
    deliver_next(sender)
    services.ledger.release(held, place="tail")
    held = claim(services)
    assert sender.take() is None
    services.ledger.end_job(held, JobState.FAILED, error=None)
    deliver_next(sender)
    assert received(receiver) == [(f"{job_id}-started", "job.started"), (f"{job_id}-failed", "job.failed")]


def test_a_late_start_event_still_shows_the_job_as_running(
    services: Services, sender: WebhookSender, receiver: ScriptedServer
) -> None:
    submit_job(services, receiver.url, "job.started")
    succeed(services, claim(services))
    deliver_next(sender)
    assert json.loads(receiver.requests[0][3])["data"]["state"] == "running"


def test_a_canceled_job_sends_its_end_and_only_subscribed_events_are_sent(
    services: Services, sender: WebhookSender, receiver: ScriptedServer
) -> None:
    canceled_id, _ = (
        submit_and_cancel(services, receiver.url),
        submit_job(services, receiver.url, "job.failed", "job.succeeded"),
    )
    claim(services)
    deliver_next(sender)
    assert sender.take() is None
    assert received(receiver) == [(f"{canceled_id}-canceled", "job.canceled")]


# Submitting and deleting.


def test_a_webhook_is_submitted_stored_and_shown(submit: Submit, client: FlaskClient, services: Services) -> None:
    job = submit(webhook_url="https://example.com/a", webhook_events="job.failed,job.succeeded").get_json()
    assert job["webhook"] == {
        "url": "https://example.com/a",
        "events": ["job.succeeded", "job.failed"],
        "disabled": False,
    }
    assert client.get(f"/v1/jobs/{job['id']}").get_json()["webhook"] == job["webhook"]
    assert client.get(f"/v1/jobs/{job['id']}/deliveries").get_json() == {"deliveries": []}
    stored = services.ledger.get(job["id"]).request.webhook
    assert stored == WebhookTarget(url="https://example.com/a", events=("job.succeeded", "job.failed"))
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
def test_an_invalid_webhook_is_refused_and_nothing_is_stored(
    parts: dict[str, Any], status: int, code: str, submit: Submit, stored_data: Callable[[], object]
) -> None:
    before = stored_data()
    response = submit(**parts)
    assert (response.status_code, response.get_json()["code"]) == (status, code)
    assert stored_data() == before


def test_the_same_key_with_another_webhook_is_another_request(submit: Submit) -> None:
    parts = {"headers": {"Idempotency-Key": "k"}, "webhook_url": "https://example.com/a"}
    first = submit(**parts).get_json()
    assert submit(**parts).get_json()["id"] == first["id"]
    assert submit(**parts | {"webhook_url": "https://example.com/b"}).get_json()["code"] == "idempotency_key_reused"


def test_deletion_removes_unsent_events_and_the_delivery_log(
    services: Services, sender: WebhookSender, client: FlaskClient
) -> None:
    with serve(reply(b"", 500)) as receiver:
        job_id = submit_and_cancel(services, receiver.url)
        deliver_next(sender)
        event = next_event(sender)
        assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
        sender.deliver(event)
    assert sender.take() is None
    assert redis_keys(services, job_id) == []
    assert client.get(f"/v1/jobs/{job_id}/deliveries").get_json()["code"] == "job_not_found"
