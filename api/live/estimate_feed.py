"""The estimates of one event stream. They are computed for it, not stored with the events."""

import time
from collections.abc import Callable
from typing import Final

from easel.events import Estimate

ESTIMATE_SECONDS: Final = 3.0
"""Minimum seconds between two estimates of a stream."""
_RETRY_SECONDS: Final = 1.0
_TOLERANCE: Final = 0.1
_TOLERANCE_SECONDS: Final = 2.0


class EstimateFeed:
    """Yields an estimate when a job's position or remaining time differs from what the last one implies."""

    def __init__(self, read: Callable[[str], Estimate | None]) -> None:
        """`read` gets the ID of the last event that was sent, and returns None if nothing is known at that moment."""
        self._read = read
        self._sent, self._sent_at = Estimate(), 0.0
        self._due_at = 0.0

    def next(self, after: str) -> Estimate | None:
        """Return the estimate if it is due and has changed."""
        now = time.monotonic()
        if now < self._due_at:
            return None
        estimate = self._read(after)
        self._due_at = now + (ESTIMATE_SECONDS if estimate else _RETRY_SECONDS)
        if estimate is None or not self._differs(estimate, now - self._sent_at):
            return None
        self._sent, self._sent_at = estimate, now
        return estimate

    def _differs(self, estimate: Estimate, elapsed: float) -> bool:
        before, after = self._sent.eta_seconds, estimate.eta_seconds
        if estimate.queue_position != self._sent.queue_position or before is None or after is None:
            return estimate != self._sent
        return _deviates(after.p50, before.p50 - elapsed) or _deviates(after.p90, before.p90 - elapsed)


def _deviates(seconds: float, expected: float) -> bool:
    return abs(seconds - expected) > max(_TOLERANCE_SECONDS, _TOLERANCE * expected)
