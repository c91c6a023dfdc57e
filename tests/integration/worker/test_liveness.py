"""The liveness file is renewed while Redis is away: a restart of the process would not help."""

import threading
import time
from pathlib import Path

import pytest
from support.background import in_background

from deploy.local.stack import free_port
from shared.services import Services, open_services
from shared.settings import Settings
from worker.devices.memory import WorkerMemory
from worker.maintenance.reaper import Reaper
from worker.registration import Registration


@pytest.fixture
def services(tmp_path: Path) -> Services:
    """Services whose Redis does not respond."""
    return open_services(
        Settings(
            redis_url=f"redis://127.0.0.1:{free_port()}/0",
            store_url=(tmp_path / "blobs").as_uri(),
            liveness_file=tmp_path / "alive",
        )
    )


def wait_for(path: Path) -> None:
    """Wait until the file is there, and is written again after it was deleted."""
    for _ in range(2):
        pause, deadline = threading.Event(), time.monotonic() + 60
        while not path.exists():
            assert time.monotonic() < deadline, f"{path} was not written"
            pause.wait(0.05)
        path.unlink()


def test_a_worker_touches_the_file_while_redis_is_unavailable(services: Services, tmp_path: Path) -> None:
    memory = WorkerMemory("host", 1)
    registration = Registration(services.queue_stats, "one", ("standard",), memory, services.settings.liveness_file)
    registration.start()
    wait_for(tmp_path / "alive")
    registration.stop()


def test_a_reaper_touches_the_file_while_redis_is_unavailable(services: Services, tmp_path: Path) -> None:
    with in_background(Reaper(services).run):
        wait_for(tmp_path / "alive")


def test_a_file_that_cannot_be_written_stops_nothing(services: Services, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "alive"
    registration = Registration(services.queue_stats, "one", ("standard",), WorkerMemory("host", 1), path).start()
    registration.stop()
    assert not path.exists()
