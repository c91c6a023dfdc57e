"""The real API as a server process, and a fake worker that a test drives step by step through the real ledger."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from deploy.local.stack import free_port
from easel.models import JobError, JobState, Losses, Progress
from shared.ledger.ledger import Claim
from shared.ledger.queue_stats import WorkerInfo
from shared.services import Services, ensure_paired, open_services, stored_identity
from shared.settings import Settings
from shared.storage import keys
from support.fixtures.valkey import Valkey

LEASE = 60.0


class ApiProcess:
    """`python -m api` on a free port, with a database and a folder; the test can stop and restart it."""

    def __init__(self, folder: Path, redis_url: str, **settings: Any) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = Settings(redis_url=redis_url, store_url=(folder / "blobs").as_uri(), port=self.port)
        values = {"redis_url": redis_url, "store_url": self.settings.store_url, "port": self.port, **settings}
        self._environment = {f"EASEL_{name.upper()}": str(value) for name, value in values.items()}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        with (self.folder / "api.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "api"],
                env={**os.environ, **self._environment},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        assert "listens" in self._process.stdout.readline(), (self.folder / "api.log").read_text()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=30)
            self._process = None


class FakeWorker:
    """Changes the records like a worker, without an engine."""

    def __init__(self, settings: Settings) -> None:
        self.services: Services = open_services(settings)
        if not ensure_paired(self.services):  # the database was emptied for this test, the folder was not
            self.services.ledger.ensure_identity(stored_identity(self.services.blobs) or "")

    def register(self, job: str | None = None) -> None:
        """Register the worker."""
        info = WorkerInfo(
            name="fake@test", device="cpu:2", weights="random:0123", tiers=("standard",), job=job, seen_at=2e10
        )
        self.services.queue_stats.register_worker(info)

    def claim_next(self, *, seconds: float = 0.0) -> Claim:
        """Claim the next job, and wait up to `seconds` for one."""
        deadline = time.monotonic() + seconds
        while True:
            claim = self.services.ledger.claim("fake@test", ("standard", "batch"), lease_seconds=LEASE)
            if claim is not None:
                return claim
            assert time.monotonic() < deadline, "no job came"
            time.sleep(0.01)

    @contextmanager
    def running_next_job(self, act: Callable[[Claim], object]) -> Iterator[None]:
        """Run the next job in a thread during the block."""
        thread = threading.Thread(target=lambda: act(self.claim_next(seconds=60)))
        thread.start()
        yield
        thread.join()

    def run_to_end(self, claim: Claim) -> None:
        """Report every step, and publish the result."""
        for step in range(1, claim.job.progress.total + 1):
            self.report_step(claim, step)
        self.succeed(claim)

    def report_step(self, claim: Claim, step: int) -> None:
        """Send a heartbeat after `step` steps."""
        total = claim.job.progress.total
        losses = Losses(total=90.0 / step, style=60.0 / step, content=29.0 / step, total_variation=1.0 / step)
        progress = Progress(phase="64 px", current=step, total=total, percentage=round(100 * step / total, 2))
        event_data = {"progress": progress.model_dump(), "losses": losses.model_dump(), "steps_per_second": 2.5}
        self.services.ledger.renew(
            claim,
            lease_seconds=LEASE,
            event=("progress", event_data),
            progress=progress,
            losses=losses,
            steps_per_second=2.5,
            run_seconds=step / 2.5,
        )

    def succeed(self, claim: Claim) -> bytes:
        """Publish a result and return its bytes."""
        path = Path(self.services.settings.store_url.removeprefix("file://")) / "image.png"
        Image.new("RGB", (64, 48), "teal").save(path)
        image, key = path.read_bytes(), keys.result(claim.job.id, claim.token)
        provenance = {"weights": {"source": "random", "sha256": "0123"}, "steps": claim.job.progress.total}
        self.services.blobs.put(key, image, content_type="image/png")
        self.services.blobs.put(keys.provenance(key), json.dumps(provenance).encode(), content_type="application/json")
        total = claim.job.progress.total
        progress = Progress(phase="done", current=total, total=total, percentage=100)
        self.services.ledger.end_job(claim, JobState.SUCCEEDED, result=key, progress=progress)
        return image

    def fail(self, claim: Claim) -> None:
        """Fail the job."""
        error = JobError(code="diverged", detail="The loss is not finite. Lower the recipe's weights.")
        self.services.ledger.end_job(claim, JobState.FAILED, error=error)


@pytest.fixture(scope="module")
def api(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """One server for all tests of a module."""
    server = ApiProcess(tmp_path_factory.mktemp("api"), valkey.url)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def fake_worker(api: ApiProcess, valkey_url: str) -> FakeWorker:
    """The fake worker of that server, with an empty database."""
    assert valkey_url == api.settings.redis_url
    return FakeWorker(api.settings)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """A content image and a style image."""
    for name, color in (("photo", "red"), ("painting", "blue")):
        Image.new("RGB", (96, 72), color).save(tmp_path / f"{name}.png")
    return [tmp_path / "photo.png", tmp_path / "painting.png"]
