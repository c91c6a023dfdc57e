"""The estimates of one event stream. They are computed for it, not stored with the events."""

import time
from collections.abc import Callable
from typing import Final

from easel.events import Estimate
from easel.models import JobStatus

ESTIMATE_SECONDS: Final = 3.0
"""Least time between two estimates of a stream."""
_TOLERANCE: Final = 0.1
_TOLERANCE_SECONDS: Final = 2.0


class EstimateFeed:
    """Tells when a job's position or estimate has changed by more than the passing of time explains."""

    def __init__(self, read: Callable[[], JobStatus]) -> None:
        self._read = read
        self._sent, self._sent_at = Estimate(), 0.0
        self._due_at = 0.0

    def next(self) -> Estimate | None:
        """Return the estimate if it is due and has changed. Raises what `read` raises."""
        now = time.monotonic()
        if now < self._due_at:
            return None
        self._due_at = now + ESTIMATE_SECONDS
        status = self._read()
        estimate = Estimate(queue_position=status.queue_position, eta_seconds=status.eta_seconds)
        if status.ended or not self._differs(estimate, now):
            return None
        self._sent, self._sent_at = estimate, now
        return estimate

    def _differs(self, estimate: Estimate, now: float) -> bool:
        before, after = self._sent.eta_seconds, estimate.eta_seconds
        if estimate.queue_position != self._sent.queue_position or before is None or after is None:
            return estimate != self._sent
        expected = before.p50 - (now - self._sent_at)
        return abs(after.p50 - expected) > max(_TOLERANCE_SECONDS, _TOLERANCE * expected)
