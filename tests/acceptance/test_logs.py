"""The logs of API, worker and reaper in JSON, over jobs that succeed and fail: every line parses, and has no secret."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from support.fixtures.api import image_file
from support.fixtures.valkey import Valkey
from support.fixtures.webhooks import NO_CONTENT
from support.fixtures.worker import children
from support.requirements import ROOT
from support.scripted_server import Handler, serve
from uuid_utils import uuid7

from deploy.local.stack import free_port
from easel import Easel, JobState

KEY, WRONG_KEY, REDIS_PASSWORD, RECEIVER_TOKEN, METADATA, SIGNATURE = (
    f"secret-{name}" for name in ("key", "wrong", "redis", "receiver", "metadata", "signature")
)
WEBHOOK_SECRET: Final = base64.b64encode(bytes(range(32))).decode()
WITHOUT_WEIGHTS, WITH_WEIGHTS = {"preset": "patches", "size": 64}, {"preset": "fast", "size": 64}
SECRETS: Final = (KEY, WRONG_KEY, REDIS_PASSWORD, RECEIVER_TOKEN, METADATA, SIGNATURE, WEBHOOK_SECRET)
COMMANDS: Final = {
    "api": ("-m", "api"),
    "worker": ("-m", "worker", "start", "--name", "w1@test"),
    "reaper": ("-m", "worker", "reaper"),
}


class Service:
    """API, worker and reaper with secrets in their settings."""

    def __init__(self, folder: Path, redis_url: str, log_level: str) -> None:
        port = free_port()
        environment = {
            "EASEL_LOG_FORMAT": "json",
            "EASEL_LOG_LEVEL": log_level,
            "EASEL_REDIS_URL": redis_url,
            "EASEL_STORE_URL": (folder / "blobs").as_uri(),
            "EASEL_CACHE": str(folder / "cache"),
            "EASEL_PORT": str(port),
            "EASEL_API_KEYS": KEY,
            "EASEL_WEBHOOK_SECRET": f"whsec_{WEBHOOK_SECRET}",
            "EASEL_WEBHOOK_PRIVATE": "true",
            "EASEL_WEIGHTS": str(folder / "missing.h5"),
            "EASEL_REAPER_SECONDS": "0.5",
        }
        self.url = f"http://127.0.0.1:{port}"
        self.processes = {
            name: subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            for name, command in COMMANDS.items()
        }
        self._readers = ThreadPoolExecutor(len(COMMANDS))
        self._outputs = {name: self._readers.submit(process.communicate) for name, process in self.processes.items()}

    def stop(self) -> dict[str, bytes]:
        """Stop all, and return what each has written."""
        for process in self.processes.values():
            process.terminate()
        return {name: output.result(60)[0] for name, output in self._outputs.items()}


@contextmanager
def running(folder: Path, log_level: str) -> Iterator[Service]:
    with ExitStack() as cleanup:
        valkey = Valkey(folder, "--requirepass", REDIS_PASSWORD)
        valkey.url = f"redis://:{REDIS_PASSWORD}@127.0.0.1:{valkey.port}/0"
        valkey.start()
        cleanup.callback(valkey.stop)
        service = Service(folder, valkey.url, log_level)
        cleanup.callback(service.stop)
        yield service


@contextmanager
def receiving() -> Iterator[tuple[str, threading.Semaphore]]:
    """Run a receiver of webhooks with a secret in its URL; yield that, and a semaphore that counts its requests."""
    received = threading.Semaphore(0)

    def respond(handler: Handler) -> None:
        NO_CONTENT(handler)
        received.release()

    with serve(respond) as receiver:
        yield f"{receiver.url}/hook?token={RECEIVER_TOKEN}", received


def send_secrets(url: str) -> None:
    """Send keys where they belong, and where they do not, once the API responds."""
    with httpx2.Client(base_url=url, transport=httpx2.HTTPTransport(retries=9)) as http:
        assert http.get("/healthz").status_code == 200
        assert http.get("/v1/jobs", headers={"Authorization": f"Bearer {WRONG_KEY}"}).status_code == 401
        assert http.get("/v1/jobs", params={"api_key": KEY}).status_code == 401
        assert http.post("/v1/session", json={"key": KEY}).status_code == 200
        shared = f"/v1/shared/{uuid7()}/result.png"
        assert http.get(shared, params={"expires": 2**32, "signature": SIGNATURE}).status_code == 404


def kill_child(worker: subprocess.Popen[bytes]) -> None:
    for child in children(worker.pid):
        if os.getsid(child) == os.getsid(worker.pid):  # not the process that writes log lines
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("log_level", ["INFO", "DEBUG"])
def test_every_line_is_json_without_secrets_and_with_its_job_worker_and_request(tmp_path: Path, log_level: str) -> None:
    images = image_file(), image_file((20, 60, 200))
    with running(tmp_path, log_level) as service, receiving() as (hook, received):
        send_secrets(service.url)
        with Easel(service.url, KEY) as easel:
            good = easel.submit(*images, WITHOUT_WEIGHTS, webhook_url=hook, metadata={"note": METADATA})
            assert good.wait(120).state is JobState.SUCCEEDED
            kill_child(service.processes["worker"])
            bad = easel.submit(*images, WITH_WEIGHTS, webhook_url=hook)
            assert bad.wait(120).state is JobState.FAILED
        for _ in range(4):  # the start and the end of each job
            assert received.acquire(timeout=30)
        outputs = service.stop()
    for output in outputs.values():
        assert [secret for secret in SECRETS if secret.encode() in output] == []
    lines = {name: [json.loads(line) for line in output.splitlines()] for name, output in outputs.items()}
    assert all({"event", "level", "timestamp"} <= set(line) for line in chain(*lines.values()))
    assert {line.get("worker") for line in lines["worker"]} == {"w1@test"}
    assert {good.id, bad.id} == {line["job"] for line in lines["api"] if line["event"] == "job_submitted"}
    assert {"job_claimed", "loop_stopped", "job_ended"} <= events(lines["worker"], good.id)
    assert {"job_claimed", "job_failed", "job_ended"} <= events(lines["worker"], bad.id)
    assert any("signal 9" in line["event"] for line in lines["worker"])
    assert "webhook_attempted" in events(lines["reaper"], good.id)
    check_requests([line for line in lines["api"] if line["event"] == "request"], probes=log_level == "DEBUG")
    submitted = {line["job"]: line["request_id"] for line in lines["api"] if line["event"] == "job_submitted"}
    for line in chain(lines["worker"], lines["reaper"]):
        assert line.get("request_id") == submitted.get(line.get("job"))
        assert line.get("tenant") == ("default" if "job" in line else None)


def check_requests(lines: list[dict[str, Any]], *, probes: bool) -> None:
    """Check the lines of the requests in `send_secrets`, and that each has an ID of its own."""
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert [line for line in lines if line["milliseconds"] <= 0 or line["bytes"] <= 0] == []
    kinds = [(line["method"], line["path"], line["status"]) for line in lines]
    assert kinds.count(("GET", "/v1/jobs", 401)) == 2
    assert {line.get("tenant") for line in lines if line["status"] == 401 or line["path"] == "/healthz"} == {None}
    assert {line.get("tenant") for line in lines if line["path"].startswith("/v1/jobs") and line["status"] < 300} == {
        "default"
    }
    assert kinds.count(("POST", "/v1/session", 200)) == 1
    assert kinds.count(("POST", "/v1/jobs", 202)) == 2
    assert (("GET", "/healthz", 200) in kinds) == probes


def events(lines: list[dict[str, Any]], job_id: str) -> set[str]:
    """Return the events of a job."""
    return {line["event"] for line in lines if line.get("job") == job_id}
