"""A worker's line on the board that everyone can see: alive, on which device, at which job."""

import threading
import time
from typing import Any, Final, Self

import structlog

from shared.errors import LedgerUnavailable
from shared.ledger.queue_stats import STARTING, QueueStats, WorkerInfo
from worker.devices.memory import WorkerMemory

log = structlog.get_logger(__name__)

_ANNOUNCE_SECONDS: Final = 5.0


class Presence:
    """Announces the worker every few seconds and at each change, from a thread of its own."""

    def __init__(self, queue_stats: QueueStats, name: str, tiers: tuple[str, ...], memory: WorkerMemory) -> None:
        self._overview = queue_stats
        self._info = WorkerInfo(
            name=name,
            device=STARTING,
            weights="not loaded yet",
            tiers=tiers,
            memory_bytes=memory.size,
            memory_kind=memory.kind,
            seen_at=0,
        )
        self._changed, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def open(self) -> Self:
        """Put the name on the board, with the speed that an earlier process of this name measured."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Take the name off the board."""
        self._closed.set()
        self._changed.set()
        self._thread.join()

    def show(self, **news: Any) -> None:
        """Change what is announced; fields of shared.ledger.queue_stats.WorkerInfo."""
        self._info = self._info.model_copy(update=news)
        self._changed.set()

    def _run(self) -> None:
        self._quietly(self._recall)  # here: a child has four seconds to begin, which a slow Redis could use up
        while not self._closed.is_set():
            self._quietly(lambda: self._overview.announce(self._info.model_copy(update={"seen_at": time.time()})))
            self._changed.wait(_ANNOUNCE_SECONDS)
            self._changed.clear()
        self._quietly(lambda: self._overview.withdraw(self._info.name))

    def _recall(self) -> None:
        for told in self._overview.workers():
            if told.name == self._info.name and self._info.pixels_per_second is None:
                self.show(pixels_per_second=told.pixels_per_second)

    def _quietly(self, act: Any) -> None:
        try:
            act()
        except LedgerUnavailable as error:
            log.debug("not_announced", detail=error.detail)  # the next one may get through
