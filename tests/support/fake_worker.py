"""The real API as a process of its own, and jobs driven through the real ledger by a test's own hand."""

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

from easel.models import JobError, JobState, Losses, Progress
from shared.ledger.ledger import Claim
from shared.ledger.queue_stats import WorkerInfo
from shared.services import Services, ensure_paired, open_services, stored_identity
from shared.settings import Settings
from shared.storage import keys
from support.fixtures.valkey import Valkey, free_port

LEASE = 60.0


class ApiProcess:
    """`python -m api` on a free port, over a database and a folder; the test may stop and start it."""

    def __init__(self, folder: Path, redis_url: str, **settings: Any) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = Settings(redis_url=redis_url, store_url=(folder / "blobs").as_uri(), port=self.port)
        told = {"redis_url": redis_url, "store_url": self.settings.store_url, "port": self.port, **settings}
        self._environment = {f"EASEL_{name.upper()}": str(value) for name, value in told.items()}
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


class Hand:
    """Does what a worker does to the records, without painting."""

    def __init__(self, settings: Settings) -> None:
        self.services: Services = open_services(settings)
        if not ensure_paired(self.services):  # the database was emptied for this test, the folder was not
            self.services.ledger.adopt(stored_identity(self.services.blobs) or "")

    def appear(self, job: str | None = None) -> None:
        """Announce a worker."""
        info = WorkerInfo(
            name="hand@test", device="cpu:2", weights="random:0123", tiers=("standard",), job=job, seen_at=2e10
        )
        self.services.queue_stats.announce(info)

    def take(self, *, seconds: float = 0.0) -> Claim:
        """Claim the job that is next, waiting for one if told to."""
        deadline = time.monotonic() + seconds
        while True:
            claim = self.services.ledger.claim("hand@test", ("standard", "batch"), lease_seconds=LEASE)
            if claim is not None:
                return claim
            assert time.monotonic() < deadline, "no job came"
            time.sleep(0.01)

    @contextmanager
    def at_work(self, act: Callable[[Claim], object]) -> Iterator[None]:
        """Do the next job that comes, beside the test."""
        thread = threading.Thread(target=lambda: act(self.take(seconds=60)))
        thread.start()
        yield
        thread.join()

    def paint_all(self, claim: Claim) -> None:
        """Every step, and the picture."""
        for step in range(1, claim.job.progress.total + 1):
            self.paint(claim, step)
        self.succeed(claim)

    def paint(self, claim: Claim, step: int) -> None:
        """One beat of a worker's heart after `step` steps."""
        total = claim.job.progress.total
        losses = Losses(total=90.0 / step, style=60.0 / step, content=29.0 / step, total_variation=1.0 / step)
        progress = Progress(phase="64 px", current=step, total=total, percentage=round(100 * step / total, 2))
        told = {"progress": progress.model_dump(), "losses": losses.model_dump(), "steps_per_second": 2.5}
        self.services.ledger.renew(
            claim,
            lease_seconds=LEASE,
            event=("progress", told),
            progress=progress,
            losses=losses,
            steps_per_second=2.5,
            run_seconds=step / 2.5,
        )

    def succeed(self, claim: Claim) -> bytes:
        """Publish a picture; the picture."""
        path = Path(self.services.settings.store_url.removeprefix("file://")) / "picture.png"
        Image.new("RGB", (64, 48), "teal").save(path)
        picture, key = path.read_bytes(), keys.result(claim.job.id, claim.token)
        about = {"weights": {"source": "random", "sha256": "0123"}, "steps": claim.job.progress.total}
        self.services.blobs.put(key, picture, content_type="image/png")
        self.services.blobs.put(keys.provenance(key), json.dumps(about).encode(), content_type="application/json")
        total = claim.job.progress.total
        progress = Progress(phase="done", current=total, total=total, percentage=100)
        self.services.ledger.finish(claim, JobState.SUCCEEDED, result=key, progress=progress)
        return picture

    def fail(self, claim: Claim) -> None:
        """End the job badly."""
        error = JobError(code="diverged", detail="The loss is not a finite number any more; lower the weights.")
        self.services.ledger.finish(claim, JobState.FAILED, error=error)


@pytest.fixture(scope="module")
def api(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """One server for all tests of a file."""
    server = ApiProcess(tmp_path_factory.mktemp("api"), valkey.url)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def hand(api: ApiProcess, valkey_url: str) -> Hand:
    """The worker of that server, over an empty database."""
    assert valkey_url == api.settings.redis_url
    return Hand(api.settings)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """A photo and a painting."""
    for name, color in (("photo", "red"), ("painting", "blue")):
        Image.new("RGB", (96, 72), color).save(tmp_path / f"{name}.png")
    return [tmp_path / "photo.png", tmp_path / "painting.png"]
