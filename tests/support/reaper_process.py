"""A reaper as a process of its own, which a test can kill."""

import os
import subprocess
import sys
from pathlib import Path

from shared.settings import Settings


def start_reaper(settings: Settings, folder: Path) -> "subprocess.Popen[bytes]":
    """Start a reaper that fetches from private addresses, too; it logs to `folder`/reaper.log."""
    values = {"redis_url": settings.redis_url, "store_url": settings.store_url, "fetch_private": "true"}
    values["reaper_seconds"] = "0.5"
    environment = os.environ | {f"EASEL_{name.upper()}": value for name, value in values.items()}
    with (folder / "reaper.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "worker", "reaper"], env=environment, stdout=log, stderr=log)
