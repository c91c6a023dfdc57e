"""What was done to whom and when: the side of the story that no server can tell."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

REDIS: Final = "redis"
STORE: Final = "store"
WHOEVER_PUBLISHES: Final = "whoever publishes next"

_TICK_SECONDS: Final = 0.05
_STANDSTILL_SECONDS: Final = 0.8


@dataclass(frozen=True)
class Span:
    """Somebody suffered something; times are seconds since the epoch."""

    what: str
    whom: str  # one of the above, or a worker's name
    began: float
    ended: float


@dataclass
class Notes:
    """Safe to share between threads: lists only grow, and counts are kept under a lock."""

    spans: list[Span] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    drains: list[float] = field(default_factory=list)  # seconds from SIGTERM to the end
    corrupted: list[tuple[float, str]] = field(default_factory=list)  # when, and whose newest checkpoint
    api_deaths: Counter[int] = field(default_factory=Counter)  # by the moment in a submission
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def happened(self, fault: str) -> None:
        """Count a fault."""
        with self._lock:
            self.faults[fault] += 1

    def killed(self, whom: str, what: str, processes: int = 1) -> None:
        """Count a kill -9, and remember who suffered it."""
        with self._lock:
            self.kills[what] += processes
        now = time.time()
        self.spans.append(Span(what, whom, now, now))

    def api_died(self, moment: int) -> None:
        """In the middle of a submission."""
        self.api_deaths[moment] += 1
        with self._lock:
            self.kills["api_killed"] += 1

    @contextmanager
    def suffers(self, whom: str, what: str) -> Iterator[None]:
        """For as long as the block lasts."""
        began = time.time()
        lasting = Span(what, whom, began, float("inf"))
        self.spans.append(lasting)
        try:
            yield
        finally:
            self.spans[self.spans.index(lasting)] = Span(what, whom, began, time.time())

    def of(self, whom: str) -> list[Span]:
        """All that somebody suffered."""
        return [span for span in self.spans if span.whom == whom]

    def during(self, whom: str, began: float, ended: float) -> list[Span]:
        """What somebody suffered in that time."""
        return [span for span in self.of(whom) if span.began <= ended and span.ended >= began]


class Pulse:
    """Notices when the whole machine stands still: what is late then is nobody's fault."""

    def __init__(self) -> None:
        self.standstills: list[tuple[float, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Feel it no longer."""
        self._over.set()
        self._thread.join()

    def beat_throughout(self, began: float, ended: float) -> bool:
        """Whether the machine ran all that time."""
        return not any(stood <= ended and went_on >= began for stood, went_on in self.standstills)

    def _run(self) -> None:
        last = time.time()
        while not self._over.wait(_TICK_SECONDS):
            now = time.time()
            if now - last > _STANDSTILL_SECONDS:
                self.standstills.append((last, now))
            last = now
