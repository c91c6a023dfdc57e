"""`python -m chaos.worker NAME`: the product's worker, with an engine that sleeps and a weakness for dying.

CHAOS_FOLDER is where markers lie. CHAOS_BROKEN_FENCE=1 breaks the fence on purpose: the audit must find out.
"""

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import structlog
from celery.concurrency.asynpool import AsynPool

from chaos.engine import JOBS_OF_A_LIFE, Sleeper
from chaos.scale import CHILD_WATCH_SECONDS
from shared import redis_client, services
from shared.settings import Settings
from shared.storage import HASTY, Patience
from worker import celery_app as worker_main

log = structlog.get_logger(__name__)

DIE_BEFORE_PUBLICATION: Final = "die-before-publication"
"""The marker that the next worker which has written a result takes away, and dies."""
_FENCE: Final = "return token ~= '' and get(id, 'claim') == token"
_BROKEN: Final = "return token ~= ''"


class Mortal:
    """A blob store whose user may die right after it wrote a result."""

    def __init__(self, blobs: Any, marker: Path) -> None:
        self._blobs, self._marker = blobs, marker

    def put(self, key: str, *parts: bytes | memoryview, **options: Any) -> None:
        """As Blobs says, perhaps for the last time."""
        self._blobs.put(key, *parts, **options)
        if "/results/" in key and self._marker_taken():
            log.critical("dies_before_publication", key=key)
            os.kill(os.getpid(), signal.SIGKILL)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    def _marker_taken(self) -> bool:
        """Only one process can unlink it."""
        try:
            self._marker.unlink()
        except FileNotFoundError:
            return False
        return True


def main() -> None:
    """Serve until SIGTERM."""
    folder = Path(os.environ["CHAOS_FOLDER"])

    def opened(settings: Settings, patience: Patience = HASTY) -> services.Services:
        found = services.open_services(settings, patience)
        return services.Services(**{**vars(found), "blobs": Mortal(found.blobs, folder / DIE_BEFORE_PUBLICATION)})

    with ExitStack() as stack:
        stack.enter_context(patch.object(worker_main, "open_services", opened))
        stack.enter_context(patch.object(AsynPool, "timers", property(_scaled_timers)))
        if os.environ.get("CHAOS_BROKEN_FENCE"):
            stack.enter_context(broken_fence())
        worker_main.start(Settings(), sys.argv[1], lambda _: Sleeper(folder, life=JOBS_OF_A_LIFE))


def _scaled_timers(pool: Any) -> dict[Any, float]:
    """Celery looks after its children every five seconds: a time-out like the others."""
    return {pool.maintain_pool: CHILD_WATCH_SECONDS}


def broken_fence() -> Any:
    """Let every token through, whoever holds the claim. Raises RuntimeError where there is no fence to break."""
    sound = redis_client._lua
    if _FENCE not in sound("common"):
        raise RuntimeError("The fence in shared/ledger/scripts/common.lua reads otherwise now; mend this mutation.")
    return patch.object(redis_client, "_lua", lambda act: sound(act).replace(_FENCE, _BROKEN))


if __name__ == "__main__":
    main()
