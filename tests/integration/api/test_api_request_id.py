"""The header X-Request-Id, and the member `request_id` of errors."""

from uuid import UUID

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import Submit

from shared.services import Services

HEADER = "X-Request-Id"


@pytest.mark.parametrize("sent", ["a", "trace:0af7/651916cd=43dd", "~" * 128])
def test_a_valid_id_is_sent_back(client: FlaskClient, sent: str) -> None:
    assert client.get("/v1/queue", headers={HEADER: sent}).headers[HEADER] == sent


@pytest.mark.parametrize("sent", [None, "", "a" * 129, "caf\xe9", "a\tb", "a b"])
def test_any_other_id_is_replaced(client: FlaskClient, sent: str | None) -> None:
    responses = [client.get("/v1/queue", headers={HEADER: sent} if sent is not None else {}) for _ in range(2)]
    first, second = (UUID(response.headers[HEADER]) for response in responses)
    assert first != second


@pytest.mark.parametrize(("path", "status"), [("/v1/jobs?limit=x", 400), ("/v1/jobs/none", 404), ("/none", 404)])
def test_an_error_has_the_id_in_header_and_body(client: FlaskClient, path: str, status: int) -> None:
    response = client.get(path, headers={HEADER: "mine"})
    assert (response.status_code, response.headers[HEADER], response.json["request_id"]) == (status, "mine", "mine")


def test_a_refused_request_has_an_id(client: FlaskClient) -> None:
    response = client.get("/v1/jobs", headers={HEADER: "mine", "Host": "elsewhere.example"})
    assert (response.status_code, response.headers[HEADER], response.json["request_id"]) == (403, "mine", "mine")


def test_an_event_stream_has_the_id(client: FlaskClient, job_id: str) -> None:
    with client.get(f"/v1/jobs/{job_id}/events", headers={HEADER: "mine"}) as response:
        assert response.mimetype == "text/event-stream"
        assert response.headers[HEADER] == "mine"


def test_a_job_keeps_the_id_of_its_submission_which_a_retry_may_change(submit: Submit, services: Services) -> None:
    first, second = (submit(headers={"Idempotency-Key": "k", HEADER: sent}) for sent in ("first", "second"))
    assert first.json["id"] == second.json["id"]
    assert (second.headers["Idempotency-Replayed"], second.headers[HEADER]) == ("true", "second")
    assert services.ledger.get(first.json["id"]).request.request_id == "first"
