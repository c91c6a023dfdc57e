"""A job's life as its sender sees it; the worker's part is played by hand on the ledger."""

import time

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import Submit, claim, succeed, work, worker
from support.fixtures.ledger import request
from support.fixtures.ledger import submit as enter

from api.app import create_app
from api.eta.forecast import LOOKAHEAD
from api.eta.service import Forecaster
from easel.models import JobError, JobState
from shared.jobs.estimate import START_SECONDS
from shared.services import Services
from shared.settings import Settings

# Watching.


def test_a_job_tells_its_progress(job_id: str, client: FlaskClient, services: Services) -> None:
    services.queue_stats.announce(worker(pixels_per_second=50_000))
    work(services, claim(services), 15)
    job = client.get(f"/v1/jobs/{job_id}").get_json()
    assert (job["state"], job["attempt"], job["queue_position"]) == ("running", 1, None)
    assert job["progress"] == {"phase": "96 px", "current": 15, "total": 60, "percentage": 25.0}
    assert job["losses"]["total"] == 3
    left = 45 + START_SECONDS / 2  # of two stages one is yet to begin
    assert job["eta_seconds"]["p50"] == pytest.approx(left, rel=0.05)
    assert left < job["eta_seconds"]["p90"] < 1.5 * left
    assert job["metrics"]["steps_per_second"] == 1.0
    assert job["started_at"] >= job["created_at"]


def test_waiting_jobs_know_their_place_and_when_they_will_be_done(
    submit: Submit, client: FlaskClient, services: Services
) -> None:
    services.queue_stats.announce(worker(pixels_per_second=50_000))
    ids = [submit().get_json()["id"] for _ in range(3)]
    jobs = [client.get(f"/v1/jobs/{one}").get_json() for one in ids]
    assert [job["queue_position"] for job in jobs] == [1, 2, 3]
    waits = [job["eta_seconds"]["p50"] for job in jobs]
    assert waits == sorted(waits)
    assert waits[2] == pytest.approx(3 * waits[0], rel=0.1)
    quote = submit(query="?dry_run=1").get_json()
    assert quote["queue_depth"] == 3
    assert quote["eta_seconds"]["p50"] == pytest.approx(4 * waits[0], rel=0.1)
    assert quote["run_seconds"]["p50"] == quote["seconds"] == pytest.approx(waits[0], rel=0.1)
    assert quote["run_seconds"]["p90"] > quote["seconds"]


def test_an_id_may_be_written_in_capitals(job_id: str, client: FlaskClient) -> None:
    assert client.get(f"/v1/jobs/{job_id.upper()}").get_json()["id"] == job_id


def test_pictures_are_served_as_soon_as_they_exist(job_id: str, client: FlaskClient, services: Services) -> None:
    for part in ("preview", "result", "provenance"):
        answer = client.get(f"/v1/jobs/{job_id}/{part}")
        assert (answer.status_code, answer.get_json()["code"]) == (409, "not_ready")

    held = claim(services)
    work(services, held, 10)
    preview = client.get(f"/v1/jobs/{job_id}/preview")
    assert (preview.mimetype, preview.data) == ("image/jpeg", b"\xff\xd8preview")
    same = client.get(f"/v1/jobs/{job_id}/preview", headers={"If-None-Match": preview.headers["ETag"]})
    assert (same.status_code, same.data) == (304, b"")
    work(services, held, 20)
    other = client.get(f"/v1/jobs/{job_id}/preview", headers={"If-None-Match": preview.headers["ETag"]})
    assert other.status_code == 200

    succeed(services, held)
    urls = client.get(f"/v1/jobs/{job_id}").get_json()["urls"]
    result = client.get(urls["result"])
    assert (result.mimetype, result.data) == ("image/png", b"\x89PNGresult")
    assert job_id in result.headers["Content-Disposition"]
    assert client.get(urls["provenance"]).get_json() == {"seed": 0}
    assert (urls["cancel"], urls["finish"]) == (None, None)


def test_a_failed_job_says_why_and_has_no_result(job_id: str, client: FlaskClient, services: Services) -> None:
    services.ledger.finish(claim(services), JobState.FAILED, error=JobError(code="diverged", detail="The loss is NaN."))
    job = client.get(f"/v1/jobs/{job_id}").get_json()
    assert (job["state"], job["error"]["code"]) == ("failed", "diverged")
    answer = client.get(f"/v1/jobs/{job_id}/result")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "wrong_state")


# Lists.


def test_lists_are_newest_first_and_paged(submit: Submit, client: FlaskClient) -> None:
    ids = [submit().get_json()["id"] for _ in range(5)]
    seen, cursor = [], ""
    for size in (2, 2, 1):
        page = client.get(f"/v1/jobs?limit=2{cursor}").get_json()
        assert len(page["jobs"]) == size
        seen += [job["id"] for job in page["jobs"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids[::-1]
    assert page["next_cursor"] is None


def test_lists_can_be_narrowed_to_a_state(submit: Submit, client: FlaskClient, services: Services) -> None:
    first, second = (submit().get_json()["id"] for _ in range(2))
    claim(services)
    assert [job["id"] for job in client.get("/v1/jobs?state=running").get_json()["jobs"]] == [first]
    assert [job["id"] for job in client.get("/v1/jobs?state=queued").get_json()["jobs"]] == [second]


def test_a_cursor_that_was_tampered_with_is_refused(submit: Submit, client: FlaskClient) -> None:
    for _ in range(2):
        submit()
    cursor = client.get("/v1/jobs?limit=1").get_json()["next_cursor"]
    swapped = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for wrong in (swapped, cursor[:-1], cursor + "x", cursor.split(".")[0], f"&state=queued&cursor={cursor}"):
        answer = client.get(f"/v1/jobs?limit=1&cursor={wrong}" if wrong[0] != "&" else f"/v1/jobs?limit=1{wrong}")
        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_cursor")


# The queue.


def test_the_queue_shows_lines_running_jobs_and_workers(
    submit: Submit, client: FlaskClient, services: Services
) -> None:
    first = submit().get_json()["id"]
    submit()
    submit(tier="batch")
    services.queue_stats.announce(worker())
    succeed(services, claim(services))
    claim(services)
    queue = client.get("/v1/queue").get_json()
    assert [(tier["name"], tier["depth"]) for tier in queue["tiers"]] == [("standard", 0), ("batch", 1)]
    assert queue["tiers"][0]["oldest_seconds"] is None
    assert queue["tiers"][1]["oldest_seconds"] >= 0
    assert [job["state"] for job in queue["running"]] == ["running"]
    assert [worker["name"] for worker in queue["workers"]] == ["tester"]
    assert queue["completed_last_hour"] == 1
    assert first not in {job["id"] for job in queue["running"]}


def test_metrics_count_requests_jobs_and_workers(submit: Submit, client: FlaskClient, services: Services) -> None:
    submit()
    client.get("/v1/nothing")
    services.queue_stats.announce(worker())
    text = client.get("/metrics").text
    assert 'easel_queue_depth{tier="standard"} 1.0' in text
    assert 'easel_jobs{state="queued"} 1.0' in text
    assert "easel_workers 1.0" in text
    assert "easel_ledger_up 1.0" in text
    assert 'easel_http_requests_total{method="POST",route="/v1/jobs",status="202"} 1.0' in text
    assert 'route="unknown",status="404"' in text


# Forecasts.


def test_looks_at_jobs_share_one_forecast(settings: Settings, services: Services, job_id: str) -> None:
    app = create_app(settings, services)
    forecaster = app.extensions["easel"].forecaster
    forecaster.lifetime = 3600
    client, first = app.test_client(), forecaster.now()
    for path in ("/v1/jobs", f"/v1/jobs/{job_id}", "/v1/queue"):
        assert client.get(path).status_code == 200
    assert forecaster.now() is first
    assert forecaster.now(fresh=True) is not first
    assert forecaster.now() is not first


def test_a_line_is_played_forward_up_to_its_limit(services: Services, client: FlaskClient, job_id: str) -> None:
    def estimated() -> list[bool]:
        return [client.get(f"/v1/jobs/{one}").get_json()["eta_seconds"] is not None for one in (job_id, runs)]

    services.queue_stats.announce(worker(pixels_per_second=50_000))
    runs = enter(services.ledger, request("batch"))
    services.ledger.claim("tester", ("batch",), lease_seconds=60)
    for _ in range(LOOKAHEAD - 1):
        enter(services.ledger, limit=LOOKAHEAD)
    assert estimated() == [True, True]
    enter(services.ledger, limit=LOOKAHEAD + 1)
    assert estimated() == [False, True]


def test_nobody_waits_for_a_forecast_that_is_only_a_little_old(services: Services) -> None:
    forecaster = Forecaster(services, lifetime=1000)
    old = forecaster.now()
    forecaster._kept = time.monotonic() - 5000, old
    assert forecaster.now() is old
    while forecaster.now() is old:  # another is made beside
        pass
    forecaster._kept = time.monotonic() - 50_000, old
    assert forecaster.now() is not old, "this one is worth nothing"
