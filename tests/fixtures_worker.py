"""Real worker processes over a real Valkey and a folder of blobs, with all time-outs scaled down together."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import uuid_utils
from missing import ROOT
from PIL import Image

from shared import keys, truth
from shared.images import canonical
from shared.job import Job, JobState, Request
from shared.ports import Ports, establish, open_ports
from shared.recipe import resolve
from shared.settings import Settings
from worker.engine.kernel_files import KERNEL_SHAPES, save_kernels
from worker.reaper import Reaper


class Rig:
    """A queue and its workers, as a test drives them."""

    command: tuple[str, ...] = ("worker", "start", "--name")
    environment: Mapping[str, str] = MappingProxyType({})

    def __init__(self, folder: Path, redis_url: str, weights: Path, *, lease_seconds: float = 30) -> None:
        self.folder = folder
        self.settings = Settings(
            redis_url=redis_url,
            store_url=(folder / "blobs").as_uri(),
            weights=str(weights),
            cache=folder / "cache",
            lease_seconds=lease_seconds,
            heartbeat_seconds=0.2,
            reaper_seconds=0.5,
            checkpoint_seconds=0.2,
            preview_seconds=0.2,
        )
        self.ports: Ports = open_ports(self.settings)
        establish(self.ports)
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def start_worker(self, name: str = "one", **settings: Any) -> subprocess.Popen[bytes]:
        chosen = self.settings.model_copy(update=settings).model_dump(
            exclude={"api_keys", "tiers", "s3_endpoint", "webhook_secret"}
        )
        environment = {f"EASEL_{key.upper()}": str(value) for key, value in chosen.items()}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.workers[name] = subprocess.Popen(
                [sys.executable, "-m", *self.command, f"{name}@test"],
                env={**os.environ, **environment, **self.environment},
                stdout=log,
                stderr=log,
            )
        return self.workers[name]

    def submit(self, *, tier: str = "standard", **recipe: Any) -> str:
        content, style = (self._store(picture(seed)) for seed in (1, 2))
        request = Request(
            id=str(uuid_utils.uuid7()),
            tier=tier,
            recipe=resolve({"preset": "fast", "size": 64, "steps": 6, **recipe}),
            content=content,
            styles=(style,),
            created_at=time.time(),
            digest=str(uuid_utils.uuid7()),
        )
        truth.write_request(self.ports.blobs, request)
        self.ports.ledger.submit(request, queue_limit=1000, remember_seconds=60)
        self.ports.bells.ring(tier)
        return request.id

    def wait(self, job_id: str, until: Callable[[Job], bool], *, seconds: float = 120, reap: bool = True) -> Job:
        """The job as soon as `until` holds; reaps meanwhile, as the reaper would."""
        deadline = time.monotonic() + seconds
        last, reaper = self.ports.events.last_id(job_id), Reaper(self.ports)
        while not until(job := self.ports.ledger.get(job_id)):
            assert time.monotonic() < deadline, f"still {job.state} at {job.progress}; {self.logs()}"
            for event in self.ports.events.wait({job_id: last}).get(job_id, []):
                last = event.id
            if reap:
                reaper._reap()
                reaper._top_up_bells()
        return job

    def done(self, job_id: str, state: JobState = JobState.SUCCEEDED) -> Job:
        job = self.wait(job_id, lambda job: job.completed_at is not None)
        assert job.state is state, f"{job.error}; {self.logs()}"
        return job

    def picture_of(self, job: Job) -> bytes:
        assert job.result is not None
        return self.ports.blobs.get(job.result)

    def kill_child(self, name: str = "one") -> None:
        """As the kernel would, when memory runs out: at once, and without a word."""
        for child in children(self.workers[name].pid):
            os.kill(child, signal.SIGKILL)

    def logs(self) -> str:
        return "\n".join(log.read_text()[-3000:] for log in self.folder.glob("*.log"))

    def stop(self) -> None:
        """At once: what a worker in the middle of a job would still do in good order, its test has no need of."""
        painting = [child for worker in self.workers.values() for child in children(worker.pid)]
        for worker in self.workers.values():
            worker.kill()
            worker.wait()
        for child in painting:
            with suppress(ProcessLookupError):  # the kernel was faster
                os.kill(child, signal.SIGKILL)

    def _store(self, image: Image.Image) -> str:
        data = canonical(image)
        sha256 = hashlib.sha256(data).hexdigest()
        self.ports.blobs.put(keys.input_image(sha256), data)
        return sha256


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def picture(seed: int) -> Image.Image:
    """Smooth coloured blobs: something to paint that costs nothing to keep."""
    noise = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VGG19 with random filters of the right scale (He et al. 2015): what is painted with them is not looked at."""
    path, random = tmp_path_factory.mktemp("weights") / "random.h5", np.random.default_rng(0)
    kernels = {}
    for layer, shape in KERNEL_SHAPES.items():
        scale = np.float32(np.sqrt(2 / np.prod(shape[:3])))
        kernels[layer] = (random.standard_normal(shape, np.float32) * scale, np.zeros(shape[3], np.float32))
    save_kernels(path, kernels)
    return path


@pytest.fixture
def rig(tmp_path: Path, valkey_url: str, random_weights: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, valkey_url, random_weights)
    yield rig
    rig.stop()


@pytest.fixture
def sleepy_rig(tmp_path: Path, valkey_url: str) -> Iterator[Rig]:
    """The product's workers but for the engine, which sleeps; some seeds make it misbehave (tests/chaos/engine.py)."""
    rig = Rig(tmp_path, valkey_url, tmp_path / "no-weights.h5", lease_seconds=6)
    rig.command = ("chaos.worker",)
    rig.environment = {"CHAOS_FOLDER": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])}
    yield rig
    rig.stop()


@pytest.fixture
def hasty_rig(tmp_path: Path, valkey_url: str, random_weights: Path) -> Iterator[Rig]:
    """For tests that wait for a lease to run out."""
    rig = Rig(tmp_path, valkey_url, random_weights, lease_seconds=4)
    yield rig
    rig.stop()
