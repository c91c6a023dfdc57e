"""Canceling, finishing early and deleting; the worker's part is played by hand on the ledger."""

import json
from collections.abc import Callable

from flask.testing import FlaskClient
from support.fixtures.api import Submit, claim, succeed, work

from shared.services import Services
from shared.storage import keys

# Steering.


def test_a_waiting_job_is_canceled_at_once(job_id: str, client: FlaskClient, services: Services) -> None:
    answer = client.post(f"/v1/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.get_json()["state"]) == (202, "canceled")
    assert json.loads(services.blobs.get(keys.requested(job_id)))["wish"] == "cancel"
    assert services.queue_stats.depth("standard") == 0
    again = client.post(f"/v1/jobs/{job_id}/cancel")
    assert (again.status_code, again.get_json()["code"]) == (409, "wrong_state")


def test_a_running_job_is_asked_to_cancel(job_id: str, client: FlaskClient, services: Services) -> None:
    held = claim(services)
    job = client.post(f"/v1/jobs/{job_id}/cancel").get_json()
    assert job["state"] == "running"
    assert job["cancel_requested_at"]
    assert services.ledger.renew(held, lease_seconds=60).cancel


def test_a_job_finishes_early_only_with_a_picture_to_keep(
    job_id: str, client: FlaskClient, services: Services, kept: Callable[[], object]
) -> None:
    held, before = claim(services), kept()
    early = client.post(f"/v1/jobs/{job_id}/finish")
    assert (early.status_code, early.get_json()["code"]) == (409, "not_ready")
    assert kept() == before
    assert client.get(f"/v1/jobs/{job_id}").get_json()["urls"]["finish"] is None
    work(services, held, 3)
    offered = client.get(f"/v1/jobs/{job_id}").get_json()["urls"]["finish"]
    job = client.post(offered).get_json()
    assert job["finish_requested_at"]
    assert json.loads(services.blobs.get(keys.requested(job_id)))["wish"] == "finish"
    assert services.ledger.renew(held, lease_seconds=60).finish


def test_the_wish_is_not_written_for_a_job_that_has_ended(
    job_id: str, client: FlaskClient, services: Services, kept: Callable[[], object]
) -> None:
    succeed(services, claim(services))
    before = kept()
    for wish in ("cancel", "finish"):
        assert client.post(f"/v1/jobs/{job_id}/{wish}").get_json()["code"] == "wrong_state"
    assert kept() == before


# Deleting.


def test_a_job_that_has_ended_can_be_deleted_with_its_pictures(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    held = claim(services)
    work(services, held, 3)
    assert client.delete(f"/v1/jobs/{job_id}").get_json()["code"] == "wrong_state"
    succeed(services, held)
    answer = client.delete(f"/v1/jobs/{job_id}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert list(services.blobs.list(keys.everything(job_id))) == []
    assert client.get(f"/v1/jobs/{job_id}").status_code == 404
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 404


def test_a_deletion_that_was_cut_short_can_be_completed(job_id: str, client: FlaskClient, services: Services) -> None:
    client.post(f"/v1/jobs/{job_id}/cancel")
    services.blobs.delete(keys.request(job_id))
    services.ledger.delete(job_id)
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert list(services.blobs.list(keys.everything(job_id))) == []


def test_a_deleted_job_gives_its_idempotency_key_back(submit: Submit, client: FlaskClient) -> None:
    headers = {"Idempotency-Key": "k"}
    first = submit(headers=headers).get_json()["id"]
    client.post(f"/v1/jobs/{first}/cancel")
    client.delete(f"/v1/jobs/{first}")
    answer = submit(headers=headers)
    assert answer.status_code == 202
    assert answer.get_json()["id"] != first
    assert "Idempotency-Replayed" not in answer.headers
