"""The metadata of a submission: where it is stored and shown."""

import json

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import Submit

from shared.errors import InvalidMetadata
from shared.jobs.job import JobRequest
from shared.services import Services
from shared.storage import keys

METADATA = {"order": "6735", "note": "for Zoë"}


def test_metadata_is_stored_with_the_request_and_shown_wherever_the_job_is(
    submit: Submit, client: FlaskClient, services: Services
) -> None:
    job = submit(metadata=json.dumps(METADATA)).get_json()
    stored = JobRequest.model_validate_json(services.blobs.get(keys.request(job["id"])))
    queued = client.get("/v1/queue/standard/jobs").get_json()["jobs"]
    shown = [job, client.get(f"/v1/jobs/{job['id']}").get_json(), *client.get("/v1/jobs").get_json()["jobs"], *queued]
    shown.append(client.post(f"/v1/jobs/{job['id']}/cancel").get_json())
    assert [each["metadata"] for each in shown] == [METADATA] * 5
    assert stored.metadata == services.ledger.get(job["id"]).request.metadata == METADATA
    assert submit().get_json()["metadata"] == {}


def test_metadata_is_in_no_metric(submit: Submit, client: FlaskClient) -> None:
    submit(metadata='{"thekey": "thevalue"}')
    metrics = client.get("/metrics").text
    assert "thekey" not in metrics
    assert "thevalue" not in metrics


def test_a_key_that_was_used_with_other_metadata_is_refused(submit: Submit) -> None:
    def send(metadata: str | None) -> int:
        return submit(metadata=metadata, headers={"Idempotency-Key": "k"}).status_code

    assert [send('{"a": "1", "b": "2"}'), send('{"b": "2", "a": "1"}'), send('{"a": "1"}'), send(None)] == [
        *(202, 202),
        *(422, 422),
    ]


@pytest.mark.parametrize("query", ["", "?dry_run=1"])
def test_invalid_metadata_is_refused_and_the_field_is_named(submit: Submit, services: Services, query: str) -> None:
    response = submit(metadata='{"order": 6735}', query=query)
    problem = response.get_json()
    assert (response.status_code, problem["code"], problem["field"]) == (422, InvalidMetadata.code, "metadata")
    assert problem["errors"] == [{"field": "metadata[order]", "message": "must be a string"}]
    assert services.queue_stats.depth("standard") == 0
