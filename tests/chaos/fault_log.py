"""A log of the injected faults: what was disturbed and when. The audit uses it to tell expected delays from bugs."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

REDIS: Final = "redis"
STORE: Final = "store"
NEXT_PUBLISHER: Final = "next publisher"

_TICK_SECONDS: Final = 0.05
_STALL_SECONDS: Final = 0.8


@dataclass(frozen=True)
class Disturbance:
    """A fault and its target over a span of time, in seconds since the epoch."""

    fault: str
    target: str  # one of the constants above, or a worker's name
    began: float
    ended: float


@dataclass
class FaultLog:
    """Safe to share between threads: lists only grow, and counters change under a lock."""

    disturbances: list[Disturbance] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    drains: list[float] = field(default_factory=list)  # seconds from SIGTERM to exit
    corrupted: list[tuple[float, str]] = field(default_factory=list)  # when, and the id of the job
    api_crashes: Counter[int] = field(default_factory=Counter)  # by crash point in a submission
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count_fault(self, fault: str) -> None:
        """Count a fault that was injected."""
        with self._lock:
            self.faults[fault] += 1

    def record_kill(self, target: str, fault: str, processes: int = 1) -> None:
        """Count `kill -9` of so many processes, and record the disturbance of `target`."""
        with self._lock:
            self.kills[fault] += processes
        now = time.time()
        self.disturbances.append(Disturbance(fault, target, now, now))

    def record_api_crash(self, crash_point: int) -> None:
        """Count a crash of the API in the middle of a submission."""
        self.api_crashes[crash_point] += 1
        with self._lock:
            self.kills["api_killed"] += 1

    @contextmanager
    def disturb(self, target: str, fault: str) -> Iterator[None]:
        """Record a disturbance of `target` that lasts as long as the block."""
        began = time.time()
        lasting = Disturbance(fault, target, began, float("inf"))
        self.disturbances.append(lasting)
        try:
            yield
        finally:
            self.disturbances[self.disturbances.index(lasting)] = Disturbance(fault, target, began, time.time())

    def during(self, target: str, began: float, ended: float) -> list[Disturbance]:
        """Return the disturbances of `target` that overlap with that time."""
        own = [disturbance for disturbance in self.disturbances if disturbance.target == target]
        return [disturbance for disturbance in own if disturbance.began <= ended and disturbance.ended >= began]


class StallDetector:
    """Notices when the whole machine stalls; delays during a stall are not the product's."""

    def __init__(self) -> None:
        self.stalls: list[tuple[float, float]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stall detector", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def ran_throughout(self, began: float, ended: float) -> bool:
        """Return whether the machine ran all that time."""
        return not any(stalled <= ended and resumed >= began for stalled, resumed in self.stalls)

    def _run(self) -> None:
        last = time.time()
        while not self._stopping.wait(_TICK_SECONDS):
            now = time.time()
            if now - last > _STALL_SECONDS:
                self.stalls.append((last, now))
            last = now
