"""`Prefer: wait=N`: a submission that responds with the ended job (RFC 7240)."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import PHOTO, STYLE, Submit, claim, submit_job, succeed

from easel.models import JobState
from shared.services import Services


def submit_and_wait(client: FlaskClient, prefer: str, **options: Any) -> Any:
    return submit_job(client, headers={"Prefer": prefer, **options.pop("headers", {})}, **options)


def claim_when_submitted(services: Services, submission: "Future[Any]") -> Any:
    while not services.queue_stats.count(JobState.QUEUED):
        assert not submission.done(), submission.result().text
        threading.Event().wait(0.01)
    return claim(services)


def test_the_response_is_the_ended_job(client: FlaskClient, services: Services) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(submit_and_wait, client, "wait=60")
        claimed = claim_when_submitted(services, waiting)
        assert not waiting.done()
        succeed(services, claimed)
        response = waiting.result(30)
    job = response.get_json()
    assert response.status_code == 201
    assert (job["id"], job["state"]) == (claimed.job.id, "succeeded")
    assert response.headers["Preference-Applied"] == "wait=60"
    assert response.headers["Location"] == job["urls"]["self"]
    assert client.get(job["urls"]["result"]).status_code == 200


def test_a_job_that_has_not_ended_in_time_is_202(client: FlaskClient) -> None:
    response = submit_and_wait(client, 'respond-async, wait="1"')
    assert (response.status_code, response.get_json()["state"]) == (202, "queued")
    assert response.headers["Preference-Applied"] == "wait=1"


def test_a_repeated_submission_waits_for_its_job(client: FlaskClient, services: Services) -> None:
    key = {"Idempotency-Key": "k"}
    first = submit_job(client, headers=key).get_json()["id"]
    succeed(services, claim(services))
    again = submit_and_wait(client, "wait=60", headers=key)
    assert (again.status_code, again.get_json()["id"]) == (201, first)
    assert again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("prefer", ["wait=0", "wait", "wait=-1", "wait=soon", "return=minimal", "wait=1.5", ""])
def test_other_preferences_are_ignored(prefer: str, client: FlaskClient) -> None:
    response = submit_and_wait(client, prefer)
    assert (response.status_code, "Preference-Applied" in response.headers) == (202, False)


def test_the_wait_has_the_limit_of_long_polls(client: FlaskClient) -> None:
    client.application.extensions["easel"].stopping.set()  # waits end, as during a shutdown
    response = submit_and_wait(client, "wait=999999999999")
    assert (response.status_code, response.headers["Preference-Applied"]) == (202, "wait=60")


def test_a_client_with_too_many_streams_gets_its_job_without_a_wait(client: FlaskClient) -> None:
    limits = client.application.extensions["easel"].stream_limits
    limits._per_client = 0
    response = submit_and_wait(client, "wait=60")
    assert (response.status_code, response.get_json()["state"]) == (202, "queued")


def test_a_quote_does_not_wait(submit: Submit) -> None:
    response = submit(query="?dry_run=true", content=PHOTO, style=STYLE, headers={"Prefer": "wait=60"})
    assert (response.status_code, "Preference-Applied" in response.headers) == (200, False)
