"""The events of one stream that are computed for it and not stored: estimates, and whether the worker is silent."""

import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from easel.events import Estimate, WorkerSilence

READ_SECONDS: Final = 3.0
"""Minimum seconds between two readings of a stream."""
_RETRY_SECONDS: Final = 1.0
_TOLERANCE: Final = 0.1
_TOLERANCE_SECONDS: Final = 2.0


class Reading(NamedTuple):
    """What is known of an active job at one moment."""

    estimate: Estimate | None  # None while there is no forecast
    silence: WorkerSilence


class ComputedEvents:
    """Yields an estimate when it differs from what the last one implies, and the worker's silence when it changes."""

    def __init__(self, read: Callable[[str], Reading | None], *, resumed: bool) -> None:
        """`read` gets the ID of the last event that was sent, and returns None if nothing is known at that moment.

        The client of a resumed stream may have missed that the worker answers, so the current state comes first.
        """
        self._read = read
        self._estimate, self._estimated_at = Estimate(), 0.0
        self._silence = None if resumed else WorkerSilence()
        self._due_at = 0.0

    def next(self, after: str) -> Iterator[tuple[str, Estimate | WorkerSilence]]:
        """Yield the events that are due, as kind and data."""
        now = time.monotonic()
        if now < self._due_at:
            return
        reading = self._read(after)
        self._due_at = now + (READ_SECONDS if reading and reading.estimate else _RETRY_SECONDS)
        if reading is None:
            return
        if reading.silence != self._silence:
            self._silence = reading.silence
            yield "worker_silent", reading.silence
        if reading.estimate and self._differs(reading.estimate, now - self._estimated_at):
            self._estimate, self._estimated_at = reading.estimate, now
            yield "estimate", reading.estimate

    def _differs(self, estimate: Estimate, elapsed: float) -> bool:
        before, after = self._estimate.eta_seconds, estimate.eta_seconds
        if estimate.queue_position != self._estimate.queue_position or before is None or after is None:
            return estimate != self._estimate
        return _deviates(after.p50, before.p50 - elapsed) or _deviates(after.p90, before.p90 - elapsed)


def _deviates(seconds: float, expected: float) -> bool:
    return abs(seconds - expected) > max(_TOLERANCE_SECONDS, _TOLERANCE * expected)
