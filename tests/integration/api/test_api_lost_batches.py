"""Batches of which Redis lost some records, and batches that are submitted while the ledger is rebuilt."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import STYLE, claim, succeed, upload
from support.retention import age_blobs, lose_record, run_garbage_collection
from werkzeug.test import TestResponse

from shared.recovery import deletion
from shared.recovery.job_files import finalize
from shared.services import Services


@pytest.fixture
def body(client: FlaskClient) -> dict[str, Any]:
    """Return a batch of four jobs."""
    content, style = upload(client).get_json()["id"], upload(client, STYLE).get_json()["id"]
    defaults = {"content": content, "styles": [style], "recipe": {"preset": "fast", "size": 96}}
    return {"defaults": defaults, "jobs": [{"recipe": {"seed": number}} for number in range(4)]}


def post(client: FlaskClient, body: dict[str, Any]) -> TestResponse:
    return client.post("/v1/batches", json=body, headers={"Idempotency-Key": "k"})


def collect_garbage(services: Services) -> None:
    age_blobs(services, 7200)
    run_garbage_collection(services)


def test_nothing_of_a_batch_is_shown_canceled_or_deleted_while_records_of_it_are_lost(
    client: FlaskClient, services: Services, body: dict[str, Any]
) -> None:
    batch = post(client, body).get_json()
    first = claim(services)
    succeed(services, first)
    finalize(services.ledger, services.blobs, first.job.id)
    for job_id in batch["jobs"][1:]:
        lose_record(services, job_id)
    urls = batch["urls"]
    responses = [
        client.get(urls["self"]),
        client.get(f"{urls['self']}/contact-sheet"),
        client.post(urls["cancel"]),
        client.delete(urls["self"]),
        post(client, body),
    ]
    assert [(one.status_code, one.get_json()["code"]) for one in responses] == [(503, "ledger_lost")] * 5
    collect_garbage(services)
    assert client.get(urls["self"]).get_json()["counts"] == {**batch["counts"], "queued": 3, "succeeded": 1}
    assert client.get(urls["self"]).get_json()["jobs"] == batch["jobs"]
    client.post(urls["cancel"])
    assert client.delete(urls["self"]).status_code == 204


def test_a_batch_of_which_a_record_is_lost_while_it_is_deleted_keeps_that_job(
    client: FlaskClient, services: Services, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = post(client, body).get_json()
    client.post(batch["urls"]["cancel"])
    for job_id in batch["jobs"]:
        finalize(services.ledger, services.blobs, job_id)
    delete_job = deletion.delete_job

    def lose_second_and_delete(services: Services, job_id: str) -> None:
        if job_id == batch["jobs"][1]:
            lose_record(services, job_id)
        delete_job(services, job_id)

    monkeypatch.setattr(deletion, "delete_job", lose_second_and_delete)
    assert client.delete(batch["urls"]["self"]).get_json()["code"] == "ledger_lost"
    collect_garbage(services)
    assert client.get(batch["urls"]["self"]).get_json()["jobs"] == batch["jobs"][1:2]
