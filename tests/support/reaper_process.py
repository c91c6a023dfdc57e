"""Reapers as processes of their own, which a test can kill."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.settings import Settings


def _start(settings: Settings, folder: Path) -> "subprocess.Popen[bytes]":
    """Start a reaper that fetches from private addresses, too; it logs to `folder`/reaper.log."""
    values = {"redis_url": settings.redis_url, "store_url": settings.store_url, "fetch_private": "true"}
    values["reaper_seconds"] = "0.5"
    environment = os.environ | {f"EASEL_{name.upper()}": value for name, value in values.items()}
    with (folder / "reaper.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "worker", "reaper"], env=environment, stdout=log, stderr=log)


@contextmanager
def reapers(settings: Settings, folder: Path) -> "Iterator[Callable[[], subprocess.Popen[bytes]]]":
    """Yield a function that starts a reaper. In the end all are stopped, and the last one has to end regularly."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        started.append(_start(settings, folder))
        return started[-1]

    try:
        yield start
    finally:
        for reaper in started:
            reaper.terminate()
            reaper.wait(30)
    assert started[-1].returncode == 0
