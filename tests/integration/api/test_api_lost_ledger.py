"""Responses with a Redis that was emptied, restored, or belongs to another Easel."""

import json

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import Submit

from api.app import create_app
from shared.errors import JobNotFound
from shared.recovery.rebuild import rebuild_ledger
from shared.services import Services
from shared.settings import Settings


@pytest.fixture
def emptied(job_id: str, services: Services) -> str:
    """Empty Redis, and return the ID of a job that was in it."""
    services.ledger._redis.flushall()
    return job_id


def test_an_emptied_redis_is_not_an_empty_queue(emptied: str, client: FlaskClient, submit: Submit) -> None:
    responses = [client.get("/v1/jobs"), client.get(f"/v1/jobs/{emptied}"), client.get("/v1/queue"), submit()]
    assert {(response.status_code, response.get_json()["code"]) for response in responses} == {(503, "ledger_lost")}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_json()["checks"]["ledger"]["ok"]) == (503, False)


def test_idempotency_keys_survive_the_loss_of_redis(submit: Submit, services: Services) -> None:
    headers = {"Idempotency-Key": "k"}
    first = submit(headers=headers).get_json()["id"]
    services.ledger._redis.flushall()
    assert rebuild_ledger(services) == 1
    again = submit(headers=headers)
    assert (again.status_code, again.get_json()["id"]) == (202, first)
    assert again.headers["Idempotency-Replayed"] == "true"
    other = submit(headers=headers, tier="batch")
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")


def test_the_redis_of_another_easel_is_detected(client: FlaskClient, services: Services, job_id: str) -> None:
    services.ledger._redis.set("easel:ledger", "another")
    response = client.get(f"/v1/jobs/{job_id}")
    assert (response.status_code, response.get_json()["code"]) == (503, "ledger_unavailable")


def test_data_of_a_version_with_another_format_is_refused(settings: Settings, services: Services, job_id: str) -> None:
    stored = json.loads(services.blobs.get("ledger.json"))
    del stored["format"]  # as 0.1.0 wrote it
    services.blobs.put("ledger.json", json.dumps(stored).encode(), content_type="application/json")
    response = create_app(settings, services).test_client().get(f"/v1/jobs/{job_id}")
    assert (response.status_code, response.get_json()["code"]) == (503, "storage_unavailable")
    assert "format 1 of another version" in response.get_json()["detail"]


def test_the_first_request_pairs_a_new_redis_and_blob_store(settings: Settings, services: Services) -> None:
    services.ledger._redis.flushall()
    services.blobs.delete("ledger.json")
    client = create_app(settings, services).test_client()
    assert client.get("/v1/jobs").get_json() == {"jobs": [], "next_cursor": None}
    with pytest.raises(JobNotFound):
        services.ledger.get("01a203c1-9362-71d5-a42f-35939c71eb95")
