"""Jobs, lists, the queue and metrics; the test acts as the worker."""

import io
import re
import threading
import time
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import PHOTO, RESULT, STYLE, Submit, claim, report_progress, succeed, worker_info
from support.fixtures.ledger import request
from support.fixtures.ledger import submit as enter

from api.app import create_app
from api.eta.forecast import MAX_QUEUED, Forecast
from easel.models import JobError, JobState
from shared.jobs.estimate import START_SECONDS
from shared.jobs.run_history import RunRecord
from shared.services import Services
from shared.settings import Settings

# Status.


def test_a_running_job_has_progress_losses_and_an_estimate(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    services.queue_stats.register_worker(worker_info(pixels_per_second=50_000))
    report_progress(services, claim(services), 15)
    job = client.get(f"/v1/jobs/{job_id}").get_json()
    assert (job["state"], job["attempt"], job["queue_position"]) == ("running", 1, None)
    assert job["progress"] == {"phase": "96 px", "current": 15, "total": 60, "percentage": 25.0}
    assert job["losses"]["total"] == 3
    left = 45 + 0.75 * START_SECONDS / 2  # of two stages; the later one counts in proportion to what remains
    assert job["eta_seconds"]["p50"] == pytest.approx(left, rel=0.05)
    assert left < job["eta_seconds"]["p90"] < 1.5 * left
    assert job["metrics"]["steps_per_second"] == 1.0
    assert job["started_at"] >= job["created_at"]


def test_queued_jobs_have_a_position_and_an_estimate(submit: Submit, client: FlaskClient, services: Services) -> None:
    worker = worker_info()
    services.queue_stats.register_worker(worker)
    times = {
        "pixels": 6912,
        "pixels_per_second": 50_000,
        "start_seconds": 2,
        "end_seconds": 0,
        "fraction": 1,
        "drift": 0,
    }
    services.run_history.add(
        RunRecord.model_validate({"device": worker.device, "algorithm": "patches, lbfgs", **times})
    )
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


def test_a_quote_has_the_time_of_each_usual_size_and_whether_it_fits(
    submit: Submit, client: FlaskClient, services: Services
) -> None:
    sizes = client.get("/v1/recipes").get_json()["sizes"]
    recipe = {"recipe": '{"preset": "fast", "size": 256}'}
    quote = submit(query="?dry_run=1", **recipe).get_json()
    assert {name: one["size"] for name, one in quote["sizes"].items()} == sizes
    assert quote["sizes"]["small"]["seconds"] == pytest.approx(quote["seconds"], rel=0.1)
    seconds = [one["seconds"] for one in quote["sizes"].values()]
    assert seconds == sorted(seconds)
    assert seconds[-1] > 5 * seconds[0]
    memory = submit(query="?dry_run=1", recipe='{"preset": "fast", "size": 768}').get_json()["peak_memory_bytes"]
    services.queue_stats.register_worker(worker_info(memory_bytes=memory))
    fits = {name: one["fits"] for name, one in submit(query="?dry_run=1", **recipe).get_json()["sizes"].items()}
    assert fits == {"small": True, "medium": True, "large": True, "print": False}


def test_a_job_id_may_be_in_upper_case(job_id: str, client: FlaskClient) -> None:
    assert client.get(f"/v1/jobs/{job_id.upper()}").get_json()["id"] == job_id


def test_images_are_served_as_soon_as_they_exist(job_id: str, client: FlaskClient, services: Services) -> None:
    for part in ("preview", "result", "provenance"):
        response = client.get(f"/v1/jobs/{job_id}/{part}")
        assert (response.status_code, response.get_json()["code"]) == (409, "not_ready")

    claimed = claim(services)
    report_progress(services, claimed, 10)
    preview = client.get(f"/v1/jobs/{job_id}/preview")
    assert (preview.mimetype, preview.data) == ("image/jpeg", b"\xff\xd8preview")
    same = client.get(f"/v1/jobs/{job_id}/preview", headers={"If-None-Match": preview.headers["ETag"]})
    assert (same.status_code, same.data) == (304, b"")
    report_progress(services, claimed, 20)
    other = client.get(f"/v1/jobs/{job_id}/preview", headers={"If-None-Match": preview.headers["ETag"]})
    assert other.status_code == 200

    succeed(services, claimed)
    urls = client.get(f"/v1/jobs/{job_id}").get_json()["urls"]
    result = client.get(urls["result"] + "?metadata=false")
    assert (result.mimetype, result.data) == ("image/png", RESULT)
    assert job_id in result.headers["Content-Disposition"]
    assert client.get(urls["provenance"]).get_json() == {"seed": 0}
    assert (urls["cancel"], urls["finish"]) == (None, None)


def test_a_failed_job_has_an_error_and_no_result(job_id: str, client: FlaskClient, services: Services) -> None:
    services.ledger.end_job(
        claim(services), JobState.FAILED, error=JobError(code="diverged", detail="The loss is NaN.")
    )
    job = client.get(f"/v1/jobs/{job_id}").get_json()
    assert (job["state"], job["error"]["code"]) == ("failed", "diverged")
    response = client.get(f"/v1/jobs/{job_id}/result")
    assert (response.status_code, response.get_json()["code"]) == (409, "wrong_state")


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


def test_lists_can_be_filtered_by_state(submit: Submit, client: FlaskClient, services: Services) -> None:
    first, second = (submit().get_json()["id"] for _ in range(2))
    claim(services)
    assert [job["id"] for job in client.get("/v1/jobs?state=running").get_json()["jobs"]] == [first]
    assert [job["id"] for job in client.get("/v1/jobs?state=queued").get_json()["jobs"]] == [second]


def test_a_modified_cursor_is_rejected(submit: Submit, client: FlaskClient) -> None:
    for _ in range(2):
        submit()
    cursor = client.get("/v1/jobs?limit=1").get_json()["next_cursor"]
    swapped = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for wrong in (swapped, cursor[:-1], cursor + "x", cursor.split(".")[0], f"&state=queued&cursor={cursor}"):
        response = client.get(f"/v1/jobs?limit=1&cursor={wrong}" if wrong[0] != "&" else f"/v1/jobs?limit=1{wrong}")
        assert (response.status_code, response.get_json()["code"]) == (400, "invalid_cursor")


# The queue.


def test_the_queue_has_tiers_running_jobs_and_workers(submit: Submit, client: FlaskClient, services: Services) -> None:
    first = submit().get_json()["id"]
    submit()
    submit(tier="batch")
    services.queue_stats.register_worker(worker_info())
    succeed(services, claim(services))
    claim(services)
    queue = client.get("/v1/queue").get_json()
    assert [(tier["name"], tier["depth"]) for tier in queue["tiers"]] == [
        ("interactive", 0),
        ("standard", 0),
        ("batch", 1),
    ]
    assert [tier["default"] for tier in queue["tiers"]] == [False, True, False]
    assert queue["tiers"][0]["oldest_seconds"] is None
    assert queue["tiers"][2]["oldest_seconds"] >= 0
    assert [job["state"] for job in queue["running"]] == ["running"]
    assert [worker["name"] for worker in queue["workers"]] == ["tester"]
    assert queue["completed_last_hour"] == 1
    assert first not in {job["id"] for job in queue["running"]}


def test_metrics_count_requests_jobs_and_workers(submit: Submit, client: FlaskClient, services: Services) -> None:
    sample = 'easel_http_requests_total{method="POST",route="/v1/jobs",status="202"}'
    earlier = sample_value(client, sample)  # in this process
    submit()
    client.get("/v1/nothing")
    services.queue_stats.register_worker(worker_info())
    text = client.get("/metrics").text
    assert 'easel_queue_depth{tier="standard"} 1.0' in text
    assert 'easel_jobs{state="queued"} 1.0' in text
    assert "easel_workers 1.0" in text
    assert "easel_ledger_up 1.0" in text
    assert sample_value(client, sample) == earlier + 1
    assert 'route="unknown",status="404"' in text


def test_metrics_show_how_long_the_next_job_has_waited(client: FlaskClient, services: Services) -> None:
    assert sample_value(client, 'easel_queue_oldest_seconds{tier="standard"}') == 0
    enter(services.ledger, request().model_copy(update={"created_at": time.time() - 500}))
    assert 500 <= sample_value(client, 'easel_queue_oldest_seconds{tier="standard"}') < 600


def test_metrics_show_the_memory_of_redis_and_the_disk(client: FlaskClient, submit: Submit) -> None:
    submit()
    assert sample_value(client, "easel_redis_memory_bytes") > 0
    assert sample_value(client, "easel_redis_memory_limit_bytes") == 0
    assert 0 < sample_value(client, "easel_storage_disk_free_bytes") < sample_value(client, "easel_storage_disk_bytes")


def test_a_scrape_makes_as_many_calls_of_redis_whatever_the_number_of_jobs(
    client: FlaskClient, services: Services
) -> None:
    calls = []
    for _ in range(2):
        for _ in range(100):
            enter(services.ledger, limit=1000)
        before = sample_value(client, "easel_redis_call_seconds_count")
        calls.append(sample_value(client, "easel_redis_call_seconds_count") - before)
    assert 0 < calls[0] == calls[1] < 20


def sample_value(client: FlaskClient, sample: str) -> float:
    """Return a sample of this process; 0 if there is none yet."""
    found = re.search(rf"^{re.escape(sample)} (\S+)", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


# Forecasts.


def test_requests_share_one_forecast(settings: Settings, services: Services, job_id: str) -> None:
    app = create_app(settings, services)
    eta = app.extensions["easel"].eta
    eta.fresh_seconds = 3600
    client, forecast = app.test_client(), eta.get()
    for path in ("/v1/jobs", f"/v1/jobs/{job_id}", "/v1/queue"):
        assert client.get(path).status_code == 200
    assert eta.get() is forecast


def test_a_submission_makes_no_forecast_and_uses_one_that_exists(
    settings: Settings, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.queue_stats.register_worker(worker_info(pixels_per_second=50_000))
    app = create_app(settings, services)
    eta, threads = app.extensions["easel"].eta, set[str]()
    make = Forecast.current

    def record_thread(services: Services) -> Forecast:
        threads.add(threading.current_thread().name)
        return make(services)

    monkeypatch.setattr(Forecast, "current", record_thread)

    def submit() -> Any:
        form = {"content": (io.BytesIO(PHOTO), "a.png"), "style": (io.BytesIO(STYLE), "b.png")}
        return app.test_client().post("/v1/jobs", data=form).get_json()

    first = submit()
    assert (first["queue_position"], first["eta_seconds"]) == (1, None)
    while eta.peek() is None:
        pass
    assert threads == {"cache-refresh"}
    eta.fresh_seconds = 3600
    second = submit()
    assert second["queue_position"] == 2
    assert second["eta_seconds"]["p50"] > 0


def test_only_running_jobs_have_an_estimate_if_too_many_are_queued(
    services: Services, client: FlaskClient, job_id: str
) -> None:
    def estimated() -> list[bool]:
        return [client.get(f"/v1/jobs/{one}").get_json()["eta_seconds"] is not None for one in (job_id, runs)]

    services.queue_stats.register_worker(worker_info(pixels_per_second=50_000))
    runs = enter(services.ledger, request("batch"))
    services.ledger.claim("tester", ("batch",), lease_seconds=60)
    for _ in range(MAX_QUEUED - 1):
        enter(services.ledger, limit=MAX_QUEUED)
    assert estimated() == [True, True]
    enter(services.ledger, limit=MAX_QUEUED + 1)
    assert estimated() == [False, True]
