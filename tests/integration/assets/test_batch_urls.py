"""URLs that jobs of a batch have in common: one download for all of them, whatever becomes of it, or of one job."""

import gc
import subprocess
import threading
import time
import weakref
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.background import in_background
from support.fixtures.api import PHOTO
from support.image_files import encode
from support.reaper_process import reapers
from support.retention import redis_client
from support.scripted_server import Handler, ScriptedServer, reply, serve

from easel.models import JobState
from shared.errors import EaselError, ImageFetchFailed
from shared.ledger.fetches import Fetches
from shared.ledger.ledger import NAMESPACE
from shared.services import Services
from shared.settings import Settings
from worker.assets import batch_downloads
from worker.assets.batch_downloads import BatchDownloads
from worker.assets.consumer import AssetWorker
from worker.assets.image_download import ImageDownload
from worker.assets.input_fetcher import RETRY_SECONDS, InputFetcher

RECIPE: Final = {"preset": "fast", "size": 96}


class Clock:
    """Replaces the module `time`, and advances only when the test says so."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock by which errors of downloads expire."""
    monkeypatch.setattr(batch_downloads, "time", clock := Clock())
    return clock


def submit(client: FlaskClient, jobs: Sequence[dict[str, Any]], **defaults: Any) -> list[str]:
    """Submit a batch; return the IDs of its jobs."""
    response = client.post("/v1/batches", json={"defaults": {"recipe": RECIPE, **defaults}, "jobs": jobs})
    assert response.status_code == 202, response.text
    return list(response.get_json()["jobs"])


def make_due(services: Services, ids: Sequence[str]) -> None:
    redis_client(services).zadd(f"{NAMESPACE}:fetches", dict.fromkeys(ids, 0), xx=True)


def waiting(services: Services, ids: Sequence[str]) -> list[bool]:
    return [job.waiting_for == "inputs" for job in services.ledger.get_many(ids)]


def wait_until_fetched(client: FlaskClient, ids: Sequence[str]) -> None:
    for job_id in ids:
        job = client.get(f"/v1/jobs/{job_id}")
        while job.get_json()["waiting_for"]:
            job = client.get(f"/v1/jobs/{job_id}?wait=60", headers={"If-None-Match": job.headers["ETag"]})
            assert job.status_code == 200, "the job still waits"
        assert job.get_json()["queue_position"]


def errors(services: Services, ids: Sequence[str]) -> list[str | None]:
    return [job.error and f"{job.error.code}: {job.error.detail}" for job in services.ledger.get_many(ids)]


def test_a_url_is_fetched_once_for_a_batch(client: FlaskClient, services: Services, web: ScriptedServer) -> None:
    jobs: list[dict[str, Any]] = [{}, {}, {"styles": [f"{web.url}/own"]}, {"styles": [f"{web.url}/photo"]}]
    with in_background(AssetWorker(services).run):
        ids = submit(client, jobs, content=f"{web.url}/photo", styles=[f"{web.url}/style"])
        wait_until_fetched(client, ids)
    assert Counter(request.path for request in web.requests) == {"/photo": 1, "/style": 1, "/own": 1}


def test_jobs_that_are_fetched_at_the_same_time_share_a_download(
    client: FlaskClient, services: Services, fetcher: InputFetcher
) -> None:
    go = threading.Event()

    def respond(handler: Handler) -> None:
        assert go.wait(60)
        reply(PHOTO)(handler)

    with serve(respond) as server, ThreadPoolExecutor(2) as threads:
        ids = submit(client, [{}, {}], content=server.url, styles=[server.url])
        fetches = [threads.submit(fetcher.fetch, job_id) for job_id in ids]
        deadline = time.monotonic() + 60
        while services.fetches.due() or not server.requests:  # until both are taken
            assert time.monotonic() < deadline
        go.set()
        for fetch in fetches:
            fetch.result(60)
    assert waiting(services, ids) == [False, False]
    assert len(server.requests) == 1


def test_each_job_fails_with_the_error_of_the_download_and_the_name_of_its_image(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher
) -> None:
    with serve(reply(b"", 404)) as server:
        jobs = [{"styles": [web.url]}, {"styles": [web.url]}, {"content": web.url, "styles": [server.url]}]
        ids = submit(client, jobs, content=server.url)
        for job_id in ids:
            fetcher.fetch(job_id)
    assert errors(services, ids) == [
        "image_fetch_failed: content: 127.0.0.1 responded 404.",
        "image_fetch_failed: content: 127.0.0.1 responded 404.",
        "image_fetch_failed: style[0]: 127.0.0.1 responded 404.",
    ]
    assert len(server.requests) == 1


def test_a_file_that_is_no_image_fails_each_job_that_has_it(
    client: FlaskClient, services: Services, fetcher: InputFetcher
) -> None:
    with serve(reply(b"<html>")) as server:
        ids = submit(client, [{}, {}], content=server.url, styles=[server.url])
        for job_id in ids:
            fetcher.fetch(job_id)
    assert [(error or "").partition(": ")[0] for error in errors(services, ids)] == ["not_an_image"] * 2
    assert len(server.requests) == 1


def test_a_server_that_is_away_gets_as_many_requests_as_from_one_job(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher, clock: Clock
) -> None:
    with serve(reply(b"", 503)) as server:
        ids = submit(client, [{}] * 3, content=web.url, styles=[server.url])
        for attempts in range(1, len(RETRY_SECONDS) + 2):
            assert waiting(services, ids) == [True] * 3
            make_due(services, ids)
            for job_id in ids:
                fetcher.fetch(job_id)
            assert len(server.requests) == attempts
            clock.now += RETRY_SECONDS[0]
    assert errors(services, ids) == ["image_fetch_failed: style[0]: 127.0.0.1 responded 503."] * 3
    assert len(web.requests) == 1


def test_a_job_that_is_fetched_after_an_outage_does_not_fail_because_of_it(
    client: FlaskClient, services: Services, fetcher: InputFetcher, clock: Clock
) -> None:
    with serve(*[reply(b"", 503)] * 4, reply(PHOTO)) as server:
        first, *others = ids = submit(client, [{}] * 3, content=server.url, styles=[server.url])
        for _ in range(4):
            make_due(services, ids)
            fetcher.fetch(first)
            clock.now += RETRY_SECONDS[0]
        for job_id in others:
            fetcher.fetch(job_id)
    assert errors(services, ids) == ["image_fetch_failed: content: 127.0.0.1 responded 503.", None, None]
    assert waiting(services, others) == [False] * 2
    assert len(server.requests) == 5


def test_a_job_that_is_canceled_during_the_download_does_not_cost_the_others_theirs(
    client: FlaskClient, services: Services, fetcher: InputFetcher
) -> None:
    ids: list[str] = []

    def cancel(handler: Handler) -> None:
        services.ledger.request_control(ids[0], "cancel")
        reply(PHOTO)(handler)

    with serve(cancel) as server:
        ids += submit(client, [{}] * 3, content=server.url, styles=[server.url])
        for job_id in ids:
            fetcher.fetch(job_id)
    states = [(job.state, job.waiting_for) for job in services.ledger.get_many(ids)]
    assert states == [(JobState.CANCELED, None), (JobState.QUEUED, None), (JobState.QUEUED, None)]
    assert len(server.requests) == 1


def test_a_file_is_too_large_only_for_the_job_whose_other_images_leave_no_room(
    client: FlaskClient, services: Services, fetcher: InputFetcher
) -> None:
    noise = encode(Image.effect_noise((750, 750), 90), "JPEG")
    assert services.settings.max_body_bytes / 2 < len(noise) < services.settings.max_body_bytes - len(PHOTO)
    with serve(reply(noise)) as large, serve(reply(PHOTO)) as small:
        ids = submit(client, [{"styles": [f"{large.url}/2"]}, {"styles": [small.url]}], content=large.url)
        for job_id in ids:
            fetcher.fetch(job_id)
    too_large, none = errors(services, ids)
    assert (too_large or "").startswith("image_fetch_failed: style[0]: The file of 127.0.0.1 is too large.")
    assert none is None


def test_one_process_at_a_time_fetches_for_a_batch(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher
) -> None:
    ids = submit(client, [{}, {}], content=web.url, styles=[web.url])
    another = replace(services, fetches=Fetches(redis_client(services)))  # of another process
    fetcher.fetch(ids[0])
    InputFetcher(another).fetch(ids[1])
    assert waiting(services, ids) == [False, True]
    assert services.fetches.due() == [ids[1]], "the reaper sends the task again"
    fetcher.fetch(ids[1])
    assert waiting(services, ids) == [False, False]
    assert len(web.requests) == 1


def test_files_that_were_used_last_are_kept(web: ScriptedServer, settings: Settings) -> None:
    downloads = BatchDownloads(ImageDownload(settings), len(PHOTO) + 4096)  # two files of this size
    for path in ("a", "b", "a", "c", "a", "b"):
        assert downloads.get("batch", f"{web.url}/{path}", len(PHOTO)) == PHOTO
    assert [request.path for request in web.requests] == ["/a", "/b", "/c", "/b"]
    with pytest.raises(ImageFetchFailed, match="too large"):
        downloads.get("batch", f"{web.url}/b", len(PHOTO) - 1)


class JobFiles:
    """The files that a job has fetched so far."""


def fail(downloads: BatchDownloads, url: str, error: type[Exception]) -> "weakref.ref[JobFiles]":
    """Download as a job that has files, and fails; return a reference that does not keep them."""
    files = JobFiles()
    with pytest.raises(error):
        downloads.get("batch", url, len(PHOTO))
    return weakref.ref(files)


def test_an_error_that_is_kept_does_not_keep_the_files_of_jobs(settings: Settings) -> None:
    downloads = BatchDownloads(ImageDownload(settings), settings.max_body_bytes)
    with serve(reply(b"", 404)) as server:
        jobs = [fail(downloads, server.url, ImageFetchFailed) for _ in range(3)]
    assert len(server.requests) == 1
    gc.collect()
    assert [files() for files in jobs] == [None] * 3


def test_an_unexpected_error_is_an_internal_error_of_the_other_jobs(settings: Settings) -> None:
    downloads = BatchDownloads(ImageDownload(settings), settings.max_body_bytes)
    jobs = [fail(downloads, "http://127.0.0.1:x", error) for error in (httpx2.InvalidURL, EaselError, EaselError)]
    gc.collect()
    assert [files() for files in jobs] == [None] * 3


def test_a_reaper_that_is_killed_during_the_download_leaves_all_jobs_to_the_next(
    client: FlaskClient, services: Services, web: ScriptedServer, tmp_path: Path
) -> None:
    first: list[subprocess.Popen[bytes]] = []
    killed = threading.Event()

    def kill_reaper(_: Handler) -> None:
        first[0].kill()
        killed.set()

    with reapers(services.settings, tmp_path) as start, serve(kill_reaper, reply(PHOTO)) as server:
        ids = submit(client, [{}] * 4, content=server.url, styles=[web.url])
        first.append(start())
        assert killed.wait(60), (tmp_path / "reaper.log").read_text()
        first[0].wait(60)
        assert waiting(services, ids) == [True] * 4
        make_due(services, ids)  # the leases have expired
        for key in redis_client(services).scan_iter(f"{NAMESPACE}:batch_fetcher:*"):
            redis_client(services).delete(key)
        start()
        wait_until_fetched(client, ids)
        assert len(server.requests) == 2
