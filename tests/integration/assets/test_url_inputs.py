"""Images by URL: submitted to the API, fetched by the task, with a real HTTP server, Celery and the decoder."""

import os
import signal
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from flask.testing import FlaskClient
from support.background import in_background
from support.fixtures.api import PHOTO, STYLE, claim, image_file, submit_job, succeed, upload, worker_info
from support.image_files import encode, solid
from support.reaper_process import reapers
from support.retention import redis_client
from support.scripted_server import Handler, ScriptedServer, reply, serve
from werkzeug.test import TestResponse

from api.app import create_app
from api.eta import forecast
from easel.models import JobState, JobStatus
from shared.dispatch import ASSETS_QUEUE
from shared.ledger.ledger import NAMESPACE
from shared.recovery.rebuild import rebuild_ledger
from shared.services import Services, ensure_paired
from shared.settings import Settings
from shared.storage import keys
from shared.tenants.quotas import Quotas, store_quotas
from worker.assets import input_fetcher
from worker.assets.consumer import AssetWorker
from worker.assets.input_fetcher import InputFetcher
from worker.maintenance.garbage_collection import collect_garbage
from worker.maintenance.reaper import Reaper

RECIPE: Final = {"preset": "fast", "size": 96}


def post(client: FlaskClient, query: str = "", **fields: Any) -> TestResponse:
    return client.post(f"/v1/jobs{query}", json={"styles": [], "recipe": RECIPE, **fields})


def submit(client: FlaskClient, **fields: Any) -> str:
    response = post(client, **fields)
    assert response.status_code == 202, response.text
    return str(response.get_json()["id"])


def status(client: FlaskClient, job_id: str) -> JobStatus:
    return JobStatus.model_validate(client.get(f"/v1/jobs/{job_id}").get_json())


def due_at(services: Services, job_id: str) -> float:
    return float(redis_client(services).zscore(f"{NAMESPACE}:fetches", job_id))


def make_due(services: Services, job_id: str) -> None:
    redis_client(services).zadd(f"{NAMESPACE}:fetches", {job_id: 0})


def test_a_job_waits_for_its_images_and_is_then_the_job_of_the_files(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher
) -> None:
    mask = encode(solid("L", 255, (96, 64)))
    with serve(reply(mask)) as masks:
        style = upload(client, STYLE).get_json()["id"]
        job_id = submit(
            client,
            content=f"{web.url}/a",
            styles=[style, f"{web.url}/b"],
            content_masks=[masks.url] * 2,
            init_image=style,
        )
        waiting = client.get(f"/v1/jobs/{job_id}").get_json()
        assert (waiting["state"], waiting["waiting_for"], waiting["queue_position"]) == ("queued", "inputs", None)
        assert waiting["style_count"] == 2
        assert (waiting["urls"]["content"], waiting["urls"]["styles"]) == (None, [])
        assert client.get(f"/v1/jobs/{job_id}/content").get_json()["code"] == "not_ready"
        assert services.ledger.claim("w", services.settings.tiers, lease_seconds=60) is None
        fetcher.fetch(job_id)
    job = client.get(f"/v1/jobs/{job_id}").get_json()
    assert (job["state"], job["waiting_for"], job["queue_position"]) == ("queued", None, 1)
    by_files = submit_job(client, style=[STYLE, PHOTO], content_mask=[mask, mask], init_image=STYLE).get_json()["id"]
    left, right = (services.ledger.get(one).request for one in (job_id, by_files))
    different = {"id", "created_at", "request_id", "digest"}
    assert left.model_dump(exclude=different) == right.model_dump(exclude=different)
    assert client.get(job["urls"]["content"]).status_code == 200
    assert len(job["urls"]["styles"]) == 2
    claimed = claim(services)
    assert claimed.job.id == job_id
    succeed(services, claimed)
    assert status(client, job_id).state is JobState.SUCCEEDED


def test_a_form_may_have_urls_too(client: FlaskClient, web: ScriptedServer, fetcher: InputFetcher) -> None:
    job_id = submit_job(client, content=f"{web.url}/photo").get_json()["id"]
    fetcher.fetch(job_id)
    assert status(client, job_id).queue_position == 1


def test_the_reaper_runs_the_task_as_soon_as_it_is_sent(
    client: FlaskClient, services: Services, web: ScriptedServer
) -> None:
    with in_background(AssetWorker(services).run):
        job_id = submit(client, content=web.url, styles=[web.url])
        job = client.get(f"/v1/jobs/{job_id}?wait=30").get_json()
        assert (job["state"], job["waiting_for"], job["queue_position"]) == ("queued", None, 1)
    assert len(web.requests) == 1, "an image is fetched once for a job"
    assert web.requests[0].headers["user-agent"].startswith("Easel/")


FAILURES: Final[dict[str, tuple[Callable[[Handler], None], str, str]]] = {
    "not found": (reply(b"", 404), "image_fetch_failed", "style[0]: 127.0.0.1 responded 404."),
    "a page": (reply(b"<html>"), "not_an_image", "style[0]: "),
    "a broken image": (reply(PHOTO[:60]), "broken_image", "style[0]: "),
    "too small": (reply(image_file(size=(8, 8))), "image_too_small", "style[0]: "),
    "too many bytes": (reply(bytes(400_001)), "image_fetch_failed", "style[0]: The file of 127.0.0.1 is too large."),
    "a redirect without end": (reply(b"", 302, location="/"), "image_fetch_failed", "style[0]: 127.0.0.1 redirects"),
    "a redirect to a file": (reply(b"", 302, location="file:///etc/passwd"), "image_fetch_failed", "style[0]: "),
}


@pytest.mark.parametrize("name", FAILURES)
def test_an_image_that_cannot_be_used_fails_the_job_and_is_named(
    name: str, client: FlaskClient, web: ScriptedServer, fetcher: InputFetcher, services: Services
) -> None:
    answer, code, detail = FAILURES[name]
    with serve(answer) as server:
        job_id = submit(client, content=web.url, styles=[f"{server.url}/?secret=1"])
        fetcher.fetch(job_id)
    job = status(client, job_id)
    assert (job.state, job.waiting_for) == (JobState.FAILED, None)
    assert job.error is not None
    assert job.error.code == code
    assert job.error.detail.startswith(detail)
    assert "secret" not in job.error.detail
    assert services.fetches.due() == []
    assert not services.blobs.exists(keys.fetched_inputs(job_id))


def test_a_redirect_to_an_image_is_followed(client: FlaskClient, web: ScriptedServer, fetcher: InputFetcher) -> None:
    with serve(reply(b"", 302, location=f"{web.url}/photo")) as server:
        job_id = submit(client, content=server.url, styles=[web.url])
        fetcher.fetch(job_id)
    assert status(client, job_id).queue_position == 1


def test_a_server_that_is_away_is_asked_again_and_then_given_up(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher
) -> None:
    with serve(reply(b"", 503)) as server:
        job_id = submit(client, content=web.url, styles=[server.url])
        for attempts, delay in enumerate(input_fetcher.RETRY_SECONDS, start=1):
            fetcher.fetch(job_id)
            fetcher.fetch(job_id)  # not due yet
            assert due_at(services, job_id) <= redis_client(services).time()[0] + 1 + delay, (
                "and not a whole lease later"
            )
            assert (status(client, job_id).waiting_for, len(server.requests)) == ("inputs", attempts)
            make_due(services, job_id)
        fetcher.fetch(job_id)
    error = status(client, job_id).error
    assert error is not None
    assert (error.code, error.detail) == ("image_fetch_failed", "style[0]: 127.0.0.1 responded 503.")


def test_private_addresses_and_http_are_refused_by_default(settings: Settings, services: Services) -> None:
    client = create_app(settings.model_copy(update={"fetch_private": False}), services).test_client()
    for url in ("http://example.com/a.jpg", "https://127.0.0.1/a.jpg", "https://user@example.com/", "https://[::1]/"):
        problem = post(client, content=url, styles=[STYLE_ID]).get_json()
        assert (problem["code"], problem["field"]) == ("invalid_image_url", "content")
    assert list(services.blobs.list("jobs/")) == []


STYLE_ID: Final = "https://example.com/style.jpg"


def test_a_name_with_a_private_address_is_not_called(
    client: FlaskClient, services: Services, web: ScriptedServer
) -> None:
    job_id = submit(client, content=f"http://localhost:{web.port}/", styles=[web.url])
    public = InputFetcher(_with(services, fetch_private=False))
    public.fetch(job_id)
    assert web.requests == []
    assert status(client, job_id).waiting_for == "inputs", "another lookup may give a public address"


def _with(services: Services, **settings: Any) -> Services:
    changed = services.settings.model_copy(update=settings)
    return Services(**{**vars(services), "settings": changed})


def test_a_quote_of_urls_is_refused(client: FlaskClient, stored_data: Callable[[], object]) -> None:
    before = stored_data()
    problem = post(client, "?dry_run=true", content=STYLE_ID, styles=[STYLE_ID]).get_json()
    assert (problem["code"], "POST /v1/images" in problem["detail"]) == ("quote_of_urls", True)
    assert stored_data() == before


def test_jobs_that_wait_for_images_are_not_in_the_way_of_estimates(
    client: FlaskClient, services: Services, web: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "MAX_QUEUED", 1)
    for _ in range(2):
        submit(client, content=web.url, styles=[web.url])
    assert not forecast.Forecast.current(services)._overloaded


def test_the_same_submission_is_replayed(client: FlaskClient, services: Services) -> None:
    body = {"content": STYLE_ID, "styles": [STYLE_ID], "recipe": RECIPE}
    ids = [client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"}).get_json()["id"] for _ in range(2)]
    assert ids[0] == ids[1]
    other = client.post("/v1/jobs", json=body | {"content": f"{STYLE_ID}?2"}, headers={"Idempotency-Key": "k"})
    assert other.get_json()["code"] == "idempotency_key_reused"
    assert services.queue_stats.count(JobState.QUEUED) == 1


def test_a_waiting_job_counts_for_the_limit_and_can_be_canceled(
    client: FlaskClient, services: Services, fetcher: InputFetcher
) -> None:
    ids = [submit(client, content=STYLE_ID, styles=[STYLE_ID]) for _ in range(services.settings.queue_limit)]
    assert post(client, content=STYLE_ID, styles=[STYLE_ID]).get_json()["code"] == "queue_full"
    canceled = client.post(f"/v1/jobs/{ids[0]}/cancel").get_json()
    assert (canceled["state"], canceled["waiting_for"]) == ("canceled", None)
    assert ids[0] not in services.fetches.due()
    fetcher.fetch(ids[0])
    assert client.delete(f"/v1/jobs/{ids[0]}").status_code == 204


def test_a_job_that_is_canceled_while_it_is_fetched_stays_canceled(
    client: FlaskClient, services: Services, fetcher: InputFetcher
) -> None:
    ids: list[str] = []

    def cancel(handler: Handler) -> None:
        services.ledger.request_control(ids[0], "cancel")
        reply(PHOTO)(handler)

    with serve(cancel) as server:
        ids.append(submit(client, content=server.url, styles=[server.url]))
        fetcher.fetch(ids[0])
    assert status(client, ids[0]).state is JobState.CANCELED


def test_a_fetcher_that_lost_its_lease_changes_nothing(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher
) -> None:
    ids: list[str] = []

    def fetch_meanwhile(handler: Handler) -> None:
        make_due(services, ids[0])
        fetcher.fetch(ids[0])
        reply(STYLE)(handler)

    with serve(fetch_meanwhile, reply(PHOTO)) as server:
        ids.append(submit(client, content=server.url, styles=[web.url]))
        fetcher.fetch(ids[0])
    request = services.ledger.get(ids[0]).request
    assert request.content == request.styles[0], "the second one fetched the photo"
    assert status(client, ids[0]).queue_position == 1


def test_a_job_that_fits_no_worker_fails(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher
) -> None:
    services.queue_stats.register_worker(worker_info(memory_bytes=2**20))
    job_id = submit(client, content=web.url, styles=[web.url])
    fetcher.fetch(job_id)
    error = status(client, job_id).error
    assert error is not None
    assert error.code == "does_not_fit"


def test_the_quota_of_a_day_is_charged_once_the_sizes_are_known(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher
) -> None:
    store_quotas(services.blobs, "default", Quotas(pixel_evaluations_per_day=1))
    job_id = submit(client, content=web.url, styles=[web.url])
    fetcher.fetch(job_id)
    error = status(client, job_id).error
    assert error is not None
    assert error.code == "daily_quota_exceeded"


def test_fetched_images_count_as_stored_bytes_and_are_refused_at_the_quota(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher
) -> None:
    store_quotas(services.blobs, "default", Quotas(stored_bytes=10**6))
    fetched, waiting = (submit(client, content=web.url, styles=[web.url]) for _ in range(2))
    fetcher.fetch(fetched)
    stored = services.stored_bytes.all()["default"]
    assert stored == sum(blob.size for blob in services.blobs.list("inputs/"))
    store_quotas(services.blobs, "default", Quotas(stored_bytes=stored))
    fetcher.fetch(waiting)
    error = status(client, waiting).error
    assert error is not None
    assert error.code == "storage_quota_exceeded"


def test_after_redis_lost_its_data_images_are_fetched_again_or_need_not_be(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher
) -> None:
    waiting, fetched = (submit(client, content=web.url, styles=[web.url]) for _ in range(2))
    fetcher.fetch(fetched)
    redis_client(services).flushall()
    assert rebuild_ledger(services) == 2
    assert ensure_paired(services)
    assert list(services.fetches.due()) == [waiting]
    assert [status(client, one).queue_position for one in (waiting, fetched)] == [None, 1]
    assert services.ledger.get(fetched).request.width == 96
    fetcher.fetch(waiting)
    assert status(client, waiting).queue_position == 2


def test_the_reaper_sends_lost_tasks_again_unless_many_are_pending(client: FlaskClient, services: Services) -> None:
    for _ in range(2):
        submit(client, content=STYLE_ID, styles=[STYLE_ID])
    redis, reaper = redis_client(services), Reaper(services)
    reaper.repeat_fetches()
    assert redis.llen(ASSETS_QUEUE) == 4
    redis.delete(ASSETS_QUEUE)
    reaper.repeat_fetches()
    assert redis.llen(ASSETS_QUEUE) == 2
    redis.rpush(ASSETS_QUEUE, *["of another job"] * 98)
    reaper.repeat_fetches()
    assert redis.llen(ASSETS_QUEUE) == 100


def test_images_of_a_waiting_job_are_kept_by_garbage_collection(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher
) -> None:
    content = {"base64": b64encode(STYLE).decode()}
    job_id = submit(client, content=content, styles=[web.url])
    for blob in services.blobs.list("inputs/"):
        os.utime(Path(services.settings.store_url.removeprefix("file://")) / blob.key, (0, 0))
    list(collect_garbage(services))
    fetcher.fetch(job_id)
    for blob in services.blobs.list("inputs/"):
        os.utime(Path(services.settings.store_url.removeprefix("file://")) / blob.key, (0, 0))
    list(collect_garbage(services))
    request = services.ledger.get(job_id).request
    assert all(services.blobs.exists(keys.input_image(one)) for one in (request.content, *request.styles))


def test_a_reaper_that_is_killed_while_it_fetches_leaves_the_job_to_the_next(
    client: FlaskClient, services: Services, web: ScriptedServer, tmp_path: Path
) -> None:
    first: list[subprocess.Popen[bytes]] = []
    killed = threading.Event()

    def kill_reaper(_: Handler) -> None:
        first[0].kill()
        killed.set()

    with reapers(services.settings, tmp_path) as start, serve(kill_reaper, reply(PHOTO)) as server:
        job_id = submit(client, content=server.url, styles=[web.url])
        first.append(start())
        assert killed.wait(60), (tmp_path / "reaper.log").read_text()
        assert first[0].wait(60) == -signal.SIGKILL
        assert status(client, job_id).waiting_for == "inputs"
        make_due(services, job_id)  # its lease has expired
        start()
        assert client.get(f"/v1/jobs/{job_id}?wait=60").get_json()["queue_position"] == 1
