"""Cancel, finish early and delete; the test acts as the worker."""

import json
from collections.abc import Callable

from flask.testing import FlaskClient
from support.fixtures.api import Submit, claim, report_progress, succeed

from shared.services import Services
from shared.storage import keys

# Control requests.


def test_a_queued_job_is_canceled_at_once(job_id: str, client: FlaskClient, services: Services) -> None:
    response = client.post(f"/v1/jobs/{job_id}/cancel")
    assert (response.status_code, response.get_json()["state"]) == (202, "canceled")
    assert json.loads(services.blobs.get(keys.control_request(job_id)))["action"] == "cancel"
    assert services.queue_stats.depth("standard") == 0
    again = client.post(f"/v1/jobs/{job_id}/cancel")
    assert (again.status_code, again.get_json()["code"]) == (409, "wrong_state")


def test_cancellation_of_a_running_job_is_requested(job_id: str, client: FlaskClient, services: Services) -> None:
    claimed = claim(services)
    job = client.post(f"/v1/jobs/{job_id}/cancel").get_json()
    assert job["state"] == "running"
    assert job["cancel_requested_at"]
    assert services.ledger.renew(claimed, lease_seconds=60).cancel


def test_a_job_can_finish_early_after_the_first_step(
    job_id: str, client: FlaskClient, services: Services, stored_data: Callable[[], object]
) -> None:
    claimed, before = claim(services), stored_data()
    early = client.post(f"/v1/jobs/{job_id}/finish")
    assert (early.status_code, early.get_json()["code"]) == (409, "not_ready")
    assert stored_data() == before
    assert client.get(f"/v1/jobs/{job_id}").get_json()["urls"]["finish"] is None
    report_progress(services, claimed, 3)
    url = client.get(f"/v1/jobs/{job_id}").get_json()["urls"]["finish"]
    job = client.post(url).get_json()
    assert job["finish_requested_at"]
    assert json.loads(services.blobs.get(keys.control_request(job_id)))["action"] == "finish"
    assert services.ledger.renew(claimed, lease_seconds=60).finish


def test_a_control_request_for_an_ended_job_stores_nothing(
    job_id: str, client: FlaskClient, services: Services, stored_data: Callable[[], object]
) -> None:
    succeed(services, claim(services))
    before = stored_data()
    for action in ("cancel", "finish"):
        assert client.post(f"/v1/jobs/{job_id}/{action}").get_json()["code"] == "wrong_state"
    assert stored_data() == before


# Deleting.


def test_an_ended_job_can_be_deleted_with_its_images(job_id: str, client: FlaskClient, services: Services) -> None:
    claimed = claim(services)
    report_progress(services, claimed, 3)
    assert client.delete(f"/v1/jobs/{job_id}").get_json()["code"] == "wrong_state"
    succeed(services, claimed)
    response = client.delete(f"/v1/jobs/{job_id}")
    assert (response.status_code, response.data) == (204, b"")
    assert list(services.blobs.list(keys.job_prefix(job_id))) == []
    assert client.get(f"/v1/jobs/{job_id}").status_code == 404
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 404


def test_an_interrupted_deletion_can_be_completed(job_id: str, client: FlaskClient, services: Services) -> None:
    client.post(f"/v1/jobs/{job_id}/cancel")
    services.blobs.delete(keys.request(job_id))
    services.ledger.delete(job_id)
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert list(services.blobs.list(keys.job_prefix(job_id))) == []


def test_the_idempotency_key_of_a_deleted_job_can_be_reused(submit: Submit, client: FlaskClient) -> None:
    headers = {"Idempotency-Key": "k"}
    first = submit(headers=headers).get_json()["id"]
    client.post(f"/v1/jobs/{first}/cancel")
    client.delete(f"/v1/jobs/{first}")
    response = submit(headers=headers)
    assert response.status_code == 202
    assert response.get_json()["id"] != first
    assert "Idempotency-Replayed" not in response.headers
