"""`python -m chaos.stack.worker NAME`: the real worker with the sleeping engine and a crash point before publication.

CHAOS_FOLDER contains the markers. CHAOS_BROKEN_FENCE=1 disables the ledger's fencing, which the audit must notice.
"""

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import structlog

from chaos.stack.engine import JOBS_PER_PROCESS, SleepingEngine
from shared import redis_client, services
from shared.settings import Settings
from shared.storage import SHORT_TIMEOUTS, Timeouts
from worker import celery_app

log = structlog.get_logger(__name__)

CRASH_BEFORE_PUBLICATION: Final = "crash-before-publication"
"""A marker file: the next worker that has written a result removes it and crashes."""
_FENCE: Final = "return token ~= '' and get_field(id, 'claim') == token"
_BROKEN: Final = "return token ~= ''"


class CrashingBlobStore:
    """A blob store that may crash its process right after it wrote a result."""

    def __init__(self, blobs: Any, marker: Path) -> None:
        self._blobs, self._marker = blobs, marker

    def put(self, key: str, *parts: bytes | memoryview, **options: Any) -> None:
        """Store the blob, then crash if it is a result and the marker exists."""
        self._blobs.put(key, *parts, **options)
        if "/results/" in key and self._take_marker():
            log.critical("crash_before_publication", key=key)
            os.kill(os.getpid(), signal.SIGKILL)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    def _take_marker(self) -> bool:
        """Return whether this process removed the marker; only one can."""
        try:
            self._marker.unlink()
        except FileNotFoundError:
            return False
        return True


def main() -> None:
    """Serve until SIGTERM."""
    folder = Path(os.environ["CHAOS_FOLDER"])

    def open_crashing_services(settings: Settings, timeouts: Timeouts = SHORT_TIMEOUTS) -> services.Services:
        opened = services.open_services(settings, timeouts)
        blobs = CrashingBlobStore(opened.blobs, folder / CRASH_BEFORE_PUBLICATION)
        return services.Services(**{**vars(opened), "blobs": blobs})

    with ExitStack() as cleanup:
        cleanup.enter_context(patch.object(celery_app, "open_services", open_crashing_services))
        if os.environ.get("CHAOS_BROKEN_FENCE"):
            cleanup.enter_context(broken_fence())
        celery_app.start(Settings(), sys.argv[1], lambda _: SleepingEngine(folder, max_jobs=JOBS_PER_PROCESS))


def broken_fence() -> Any:
    """Let writes with any token through. Raises RuntimeError if the fence is not found."""
    original = redis_client._read_lua
    if _FENCE not in original("common"):
        raise RuntimeError("The fence in shared/ledger/scripts/common.lua has changed; update this mutation.")
    return patch.object(redis_client, "_read_lua", lambda name: original(name).replace(_FENCE, _BROKEN))


if __name__ == "__main__":
    main()
