"""`python -m api` as a server process."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from support.fixtures.api import PHOTO, STYLE, Server, claim

from shared.services import Services
from shared.settings import Settings


def run_refused(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5"])  # noqa: S104 - must be refused
def test_without_keys_the_server_refuses_to_listen_beyond_loopback(host: str) -> None:
    ended = run_refused(EASEL_HOST=host, EASEL_API_KEYS=" , ")
    assert ended.returncode == 1
    assert "EASEL_API_KEYS" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("EASEL_API_THREADS", "many", "must be a whole number"),
        ("EASEL_REDIS_URL", "localhost:6379", "must be redis://"),
    ],
)
def test_an_invalid_setting_is_named(name: str, value: str, problem: str) -> None:
    ended = run_refused(**{name: value})
    assert ended.returncode == 1
    assert f"{name} {problem}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_with_keys_the_server_listens_on_any_address(settings: Settings, start_server: Callable[..., Server]) -> None:
    everywhere: Any = {"host": "0.0.0.0", "api_keys": (SecretStr("a-key"), SecretStr("another"))}  # noqa: S104
    server = start_server(settings.model_copy(update=everywhere))
    with httpx2.Client(base_url=server.url.replace("0.0.0.0", "127.0.0.1"), timeout=10) as http:  # noqa: S104
        assert http.get("/v1/jobs").status_code == 401
        assert http.get("/v1/jobs", headers={"Authorization": "Bearer another"}).status_code == 200
        assert http.get("/healthz").status_code == 200


def test_without_keys_the_server_refuses_a_local_proxy(server: Server) -> None:
    for header in ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via", "Forwarded"):
        assert server.http.get("/healthz", headers={header: "203.0.113.7"}).json()["code"] == "forbidden"
    assert server.http.get("/healthz").status_code == 200


@pytest.mark.parametrize(("proxy", "secure"), [("127.0.0.1", True), ("10.0.0.7", False)])
def test_the_cookie_is_secure_if_a_trusted_proxy_ends_tls(
    proxy: str,
    settings: Settings,
    start_server: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
    *,
    secure: bool,
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", proxy)
    server = start_server(settings.model_copy(update={"api_keys": (SecretStr("a-key"),)}))
    response = server.http.post("/v1/session", json={"key": "a-key"}, headers={"X-Forwarded-Proto": "https"})
    assert ("Secure" in response.headers["Set-Cookie"]) is secure


def test_the_server_stops_at_once_and_logs_nothing(server: Server) -> None:
    assert server.http.get("/healthz").json() == {"status": "ok"}
    assert server.stop() == 0
    assert server.log.read_text() == ""


def test_ten_concurrent_submissions_with_one_key_make_one_job(
    settings: Settings, services: Services, start_server: Callable[..., Server]
) -> None:
    server = start_server(settings.model_copy(update={"queue_limit": 100}))
    files = {"content": ("a.png", PHOTO), "style": ("b.png", STYLE)}

    def submit(headers: dict[str, str]) -> tuple[int, str]:
        response = httpx2.post(f"{server.url}/v1/jobs", files=files, headers=headers, timeout=30)
        return response.status_code, response.json()["id"]

    with ThreadPoolExecutor(10) as pool:
        same = set(pool.map(submit, [{"Idempotency-Key": "once"}] * 10))
        assert len(same) == 1
        others = list(pool.map(submit, [{}] * 10))
    assert {status for status, _ in [*same, *others]} == {202}
    requests = {blob.key.split("/")[1] for blob in services.blobs.list("jobs/")}
    assert requests == {job_id for _, job_id in [*same, *others]}
    assert services.queue_stats.depth("standard") == 11
    assert len(requests) == 11


HALF_A_REQUEST = (
    b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n--x\r\n"
)


def send_raw(server: Server, data: bytes) -> socket.socket:
    """Return a connection on which only `data` is sent."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(data)
    return connection


@pytest.fixture
def two_threads(settings: Settings, start_server: Callable[..., Server]) -> Server:
    """Return a server with two threads that waits half a second for stalled clients, and logs only warnings."""
    few: Any = {"api_threads": 2, "stall_seconds": 0.5, "api_keys": (SecretStr("a-key"),), "log_level": "WARNING"}
    return start_server(settings.model_copy(update=few))


def test_a_client_without_a_key_is_refused_before_its_body_is_read(
    settings: Settings, start_server: Callable[..., Server]
) -> None:
    patient: Any = {"api_threads": 2, "stall_seconds": 600.0, "api_keys": (SecretStr("a-key"),)}
    server = start_server(settings.model_copy(update=patient))
    with ExitStack() as connections:
        clients = [connections.enter_context(send_raw(server, HALF_A_REQUEST % b"wrong")) for _ in range(2)]
        for client in clients:
            assert client.recv(100).startswith(b"HTTP/1.1 401")
        assert server.http.get("/healthz").status_code == 200


def test_stalled_clients_do_not_keep_their_threads(two_threads: Server) -> None:
    for half in (HALF_A_REQUEST % b"a-key", b"POST /v1/jobs HT"):
        with ExitStack() as connections:
            stalled = [connections.enter_context(send_raw(two_threads, half)) for _ in range(2)]
            assert two_threads.http.get("/healthz").status_code == 200
            for connection in stalled:
                assert connection.recv(100).startswith(b"HTTP/1.1 400" if b"a-key" in half else b"")
    assert two_threads.stop() == 0
    assert two_threads.log.read_text() == ""


def test_a_client_that_does_not_read_loses_its_stream(two_threads: Server, services: Services) -> None:
    key = {"Authorization": "Bearer a-key"}
    files = {"content": ("a.png", PHOTO), "style": ("b.png", STYLE)}
    job_id = two_threads.http.post("/v1/jobs", files=files, headers=key).json()["id"]
    claimed = claim(services)
    for _ in range(40):  # more than fits into the buffers between
        services.ledger.renew(claimed, lease_seconds=60, event=("warning", {"detail": "x" * 500_000}))
    watch = f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer a-key\r\n\r\n"
    with send_raw(two_threads, watch.encode()) as stalled:
        assert stalled.recv(100).startswith(b"HTTP/1.1 200")
        refused, path = True, f"/v1/jobs/{job_id}?wait=0.1"
        while refused:  # the server allows one stream
            refused = two_threads.http.get(path, headers=key).status_code == 503
    assert two_threads.stop() == 0
    assert "Traceback" not in two_threads.log.read_text()


def test_bodies_over_the_limit_get_a_response(server: Server) -> None:
    huge = b"\0" * 1_500_000
    for files in ({"content": ("a.png", huge)}, {"content": ("a.png", PHOTO), "style": ("b.png", huge)}):
        response = server.http.post("/v1/jobs", files=files)
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")

    def in_chunks() -> Iterator[bytes]:
        yield from (huge[:65536] for _ in range(20))

    chunked = server.http.post(
        "/v1/jobs", content=in_chunks(), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert chunked.status_code in {400, 413}
    assert server.http.get("/readyz").status_code == 200
