"""The API, in this process over a real Valkey, and as a server process of its own."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis
from flask.testing import FlaskClient
from PIL import Image
from pydantic import SecretStr
from werkzeug.test import TestResponse

from api.app import create_app
from shared import keys
from shared.job import JobState, Losses, Progress
from shared.ledger import Claim
from shared.overview import WorkerInfo
from shared.ports import Ports, establish, open_ports
from shared.settings import Settings

PHOTO_COLOUR, PAINTING_COLOUR = (200, 120, 40), (20, 60, 200)


def picture(colour: Any = PHOTO_COLOUR, size: tuple[int, int] = (96, 64), kind: str = "PNG", **options: Any) -> bytes:
    """An image file of one colour."""
    target = io.BytesIO()
    Image.new(options.pop("mode", "RGB"), size, colour).save(target, kind, **options)
    return target.getvalue()


PHOTO, PAINTING = picture(), picture(PAINTING_COLOUR)


@pytest.fixture
def settings(valkey_url: str, tmp_path: Path) -> Settings:
    return Settings(
        redis_url=valkey_url, store_url=(tmp_path / "blobs").as_uri(), max_body_bytes=400_000, queue_limit=5
    )


@pytest.fixture
def ports(settings: Settings) -> Ports:
    found = open_ports(settings)
    establish(found)
    return found


@pytest.fixture
def client(settings: Settings, ports: Ports) -> FlaskClient:
    app = create_app(settings, ports)
    app.extensions["easel"].forecaster.lifetime = 0  # what a test changes, it wants to see
    return app.test_client()


Submit = Callable[..., TestResponse]


@pytest.fixture
def submit(client: FlaskClient) -> Submit:
    """Submits a good job, but for what the test says."""

    def send(*, query: str = "", headers: dict[str, str] | None = None, **parts: Any) -> TestResponse:
        form = {"content": PHOTO, "style": PAINTING, "recipe": '{"preset": "fast", "size": 96}', **parts}
        data = {name: _files(name, value) for name, value in form.items() if value is not None}
        return client.post(f"/v1/jobs{query}", data=data, headers=headers, content_type="multipart/form-data")

    return send


def _files(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return io.BytesIO(value), f"{name}.png"
    if isinstance(value, list):
        return [_files(name, one) for one in value]
    return value


@pytest.fixture
def job_id(submit: Submit) -> str:
    """Of a job that waits."""
    job = submit().get_json()
    return str(job["id"])


LOSSES = Losses(total=3, style=1, content=1, total_variation=1)


def claim(ports: Ports) -> Claim:
    found = ports.ledger.claim("tester", ports.settings.tiers, lease_seconds=60)
    assert found is not None
    return found


def work(ports: Ports, held: Claim, step: int) -> None:
    """One report of a worker: progress, losses and a preview."""
    preview = keys.preview(held.job.id, held.token, step)
    ports.blobs.put(preview, b"\xff\xd8preview", content_type="image/jpeg")
    progress = Progress(phase="96 px", current=step, total=60, percentage=step / 60 * 100)
    ports.ledger.renew(
        held,
        lease_seconds=60,
        event=("progress", progress.model_dump()),
        progress=progress,
        losses=LOSSES,
        preview=preview,
        run_seconds=float(step),
        steps_per_second=1.0,
        pace=1 / 60,
    )


def paint(ports: Ports, held: Claim, step: int, jpeg: bytes | None = None) -> None:
    """One preview, named by the fenced act as a worker's scribe does it."""
    key = keys.preview(held.job.id, held.token, step)
    ports.blobs.put(key, jpeg or picture((step, 0, 0), (48, 32), "JPEG"), content_type="image/jpeg")
    ports.ledger.renew(held, lease_seconds=60, event=("preview", {"step": step}), preview=key)


def succeed(ports: Ports, held: Claim) -> None:
    result = keys.result(held.job.id, held.token)
    ports.blobs.put(result, b"\x89PNGresult", content_type="image/png")
    ports.blobs.put(keys.provenance(result), b'{"seed": 0}', content_type="application/json")
    ports.ledger.finish(held, JobState.SUCCEEDED, result=result)


def worker(**measured: Any) -> WorkerInfo:
    fields = {"name": "tester", "device": "cpu:2", "weights": "calibrated abc", "tiers": ("standard", "batch")}
    return WorkerInfo.model_validate({**fields, "seen_at": time.time(), **measured})


@pytest.fixture
def kept(settings: Settings, ports: Ports) -> Callable[[], object]:
    """All that is stored, to be compared before and after."""

    def look() -> object:
        with redis.Redis.from_url(settings.redis_url) as client:
            records = {key: client.dump(key) for key in client.scan_iter("easel:*")}
        return records, {blob.key: ports.blobs.get(blob.key) for blob in ports.blobs.list()}

    return look


_LISTS = ("api_keys", "tiers", "webhook_secret")


def _bare(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


class Server:
    """`python -m api` as a process of its own."""

    def __init__(self, settings: Settings, log: Path, *, port: int = 0) -> None:
        given = settings.model_copy(update={"port": port}).model_dump(mode="json", exclude=set(_LISTS))
        environment = {f"EASEL_{name.upper()}": str(value) for name, value in given.items() if value is not None}
        lists = {f"EASEL_{name.upper()}": ",".join(map(_bare, getattr(settings, name))) for name in _LISTS}
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api"],
                env=os.environ | environment | lists,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout is not None
        banner = self.process.stdout.readline()
        assert "http://" in banner, log.read_text()
        self.url = banner.split()[-1]
        self.http = httpx2.Client(base_url=self.url, timeout=30)

    def stop(self) -> int:
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[[Settings], Server]]:
    started: list[Server] = []

    def start(settings: Settings) -> Server:
        started.append(Server(settings, tmp_path / f"api-{len(started)}.log"))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def server(settings: Settings, start_server: Callable[[Settings], Server]) -> Server:
    return start_server(settings)
