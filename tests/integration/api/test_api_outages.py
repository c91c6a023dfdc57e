"""Redis or the blob store is down or does not respond: a 503 within three seconds, never a hang."""

import shutil
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from support.fixtures.api import PHOTO, STYLE, Server, claim
from support.paired_store import pair_store

from deploy.local.stack import free_port
from shared.services import Services, ensure_paired
from shared.settings import Settings

FILES = {"content": ("a.png", PHOTO), "style": ("b.png", STYLE)}
SOME_JOB = "/v1/jobs/01a203c1-9362-71d5-a42f-35939c71eb95"
Start = Callable[[Settings], Server]


@pytest.fixture
def black_hole() -> Iterator[int]:
    """Return a port that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield int(listener.getsockname()[1])


def send_all_requests(server: Server) -> list[httpx2.Response]:
    """Send every request for jobs, several at a time, with a timeout of three seconds."""
    calls = [("POST", "/v1/jobs"), ("POST", "/v1/jobs?dry_run=true"), ("DELETE", SOME_JOB)]
    calls += [("GET", path) for path in ("/v1/jobs", "/v1/queue", "/v1/queue/events", SOME_JOB, f"{SOME_JOB}?wait=30")]
    calls += [("GET", f"{SOME_JOB}/{part}") for part in ("events", "preview", "result", "provenance")]
    calls += [("GET", f"{SOME_JOB}/{part}") for part in ("content", "styles/0", "previews", "previews/1", "timelapse")]
    calls += [("GET", "/v1/queue/standard/jobs")]
    calls += [("POST", f"{SOME_JOB}/{action}") for action in ("cancel", "finish")]

    def send(call: tuple[str, str]) -> httpx2.Response:
        method, path = call
        return httpx2.request(method, server.url + path, files=FILES if method == "POST" else None, timeout=3)

    with ThreadPoolExecutor(5) as pool:
        return list(pool.map(send, calls))


@pytest.mark.parametrize("kind", ["dead", "black hole"])
def test_without_redis_every_request_gets_a_503(
    kind: str, black_hole: int, tmp_path: Path, start_server: Start
) -> None:
    port = black_hole if kind == "black hole" else free_port()
    url = pair_store(tmp_path / "blobs")
    server = start_server(Settings(redis_url=f"redis://127.0.0.1:{port}/0", store_url=url))
    for response in send_all_requests(server):
        problem = response.json()
        assert (response.status_code, problem["code"]) == (503, "ledger_unavailable"), response.request
        assert problem["retryable"]
        assert response.headers["Retry-After"]
    with httpx2.Client(base_url=server.url, timeout=3) as http:
        assert http.get("/healthz").status_code == 200
        ready = http.get("/readyz")
        assert ready.status_code == 503
        assert {name: check["ok"] for name, check in ready.json()["checks"].items()} == {
            "redis": False,
            "store": True,
            "ledger": False,
        }
        assert "easel_ledger_up 0.0" in http.get("/metrics").text


@pytest.mark.parametrize("kind", ["dead", "black hole"])
def test_without_the_blob_store_a_new_easel_responds_503(
    kind: str, black_hole: int, valkey_url: str, start_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    port = black_hole if kind == "black hole" else free_port()
    server = start_server(
        Settings(
            redis_url=valkey_url,
            store_url="s3://bucket/prefix",
            s3_endpoint=f"http://127.0.0.1:{port}",
            s3_path_style=True,
        )
    )
    assert server.http.get("/readyz").status_code == 503  # and everything that responds is loaded by now
    for response in send_all_requests(server):
        assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable"), response.request
    with httpx2.Client(base_url=server.url, timeout=3) as http:
        checks = http.get("/readyz").json()["checks"]
        assert {name: check["ok"] for name, check in checks.items()} == {"redis": True, "store": False, "ledger": False}


def test_a_later_failure_of_the_blob_store_affects_only_requests_that_need_it(
    server: Server, services: Services, settings: Settings
) -> None:
    job = server.http.post("/v1/jobs", files=FILES).json()
    claim(services)
    folder = Path(settings.store_url.removeprefix("file://"))
    folder.rename(folder.with_name("away"))
    folder.write_text("a file where the folder was")
    with httpx2.Client(base_url=server.url, timeout=3) as http:
        assert http.get(job["urls"]["self"]).status_code == 200
        assert http.get("/v1/queue").status_code == 200
        for response in (
            http.post("/v1/jobs", files=FILES),
            http.post(job["urls"]["cancel"]),
            http.get("/readyz"),
        ):
            assert response.status_code == 503, response.text
    assert services.queue_stats.depth("standard") == 0, "no record without its request"


def test_nothing_is_accepted_while_the_disk_of_the_blob_store_is_not_mounted(
    server: Server, settings: Settings
) -> None:
    job = server.http.post("/v1/jobs", files=FILES).json()
    folder = Path(settings.store_url.removeprefix("file://"))
    mounted = folder.rename(folder.with_name("away"))
    folder.mkdir()
    ready = server.http.get("/readyz")
    assert (ready.status_code, "mounted" in ready.json()["checks"]["ledger"]["detail"]) == (503, True)
    refused = server.http.post("/v1/jobs", files=FILES)
    assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
    assert server.http.get(job["urls"]["self"]).status_code == 200
    assert not (folder / "jobs").exists()
    shutil.rmtree(folder)
    mounted.rename(folder)
    assert server.http.post("/v1/jobs", files=FILES).status_code == 202


def test_a_full_redis_gets_a_503_and_leaves_no_job(server: Server, services: Services) -> None:
    assert ensure_paired(services)
    client = services.ledger._redis
    client.config_set("maxmemory", 1)
    try:
        response = server.http.post("/v1/jobs", files=FILES)
        assert (response.status_code, response.json()["code"]) == (503, "ledger_read_only")
        assert server.http.get("/v1/jobs").status_code == 200
        assert list(services.blobs.list("jobs/")) == [], "nothing that could come back later as a job"
    finally:
        client.config_set("maxmemory", 0)
    assert server.http.get("/v1/jobs").json()["jobs"] == []
