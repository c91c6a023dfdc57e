"""The worker's entry in the list of workers: its device, weights, memory, speed and job."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

import structlog

from shared.errors import LedgerUnavailable
from shared.ledger.queue_stats import STARTING, QueueStats, WorkerInfo
from worker.devices.memory import WorkerMemory
from worker.liveness import touch_liveness_file

log = structlog.get_logger(__name__)

_INTERVAL_SECONDS: Final = 5.0


class Registration:
    """Registers the worker every few seconds and at each change, in a thread."""

    def __init__(
        self,
        queue_stats: QueueStats,
        name: str,
        tiers: tuple[str, ...],
        memory: WorkerMemory,
        liveness_file: Path | None = None,
    ) -> None:
        self._queue_stats, self._liveness_file = queue_stats, liveness_file
        self._info = WorkerInfo(
            name=name,
            device=STARTING,
            weights="not loaded yet",
            tiers=tiers,
            memory_bytes=memory.size,
            memory_kind=memory.kind,
            seen_at=0,
        )
        self._changed, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="registration", daemon=True)

    def start(self) -> Self:
        """Register, with the speed that an earlier process of the same name measured."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Unregister."""
        self._stopped.set()
        self._changed.set()
        self._thread.join()

    def update(self, **fields: Any) -> None:
        """Change fields of the worker's WorkerInfo."""
        self._info = self._info.model_copy(update=fields)
        self._changed.set()

    def _run(self) -> None:
        self._try(self._restore_speed)  # here: Celery gives a child four seconds to start, and Redis may be slow
        while not self._stopped.is_set():
            touch_liveness_file(self._liveness_file)
            self._try(self._register)
            self._changed.wait(_INTERVAL_SECONDS)
            self._changed.clear()
        self._try(lambda: self._queue_stats.unregister_worker(self._info.name))

    def _register(self) -> None:
        self._queue_stats.register_worker(self._info.model_copy(update={"seen_at": time.time()}))

    def _restore_speed(self) -> None:
        for worker in self._queue_stats.workers():
            if worker.name == self._info.name and self._info.pixels_per_second is None:
                self.update(pixels_per_second=worker.pixels_per_second)

    def _try(self, call: Callable[[], object]) -> None:
        try:
            call()
        except LedgerUnavailable as error:
            log.debug("worker_not_registered", detail=error.detail)  # the next try may succeed
