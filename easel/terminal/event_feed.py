"""The events of many jobs in one feed, over a bounded number of streams."""

import copy
import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from easel import Job, JobEvent

_MAX_STREAMS: Final = 8
"""Concurrent streams. Each takes a thread, and the service limits the streams of a client."""
_Item = tuple[str, JobEvent | Exception | None]
"""A job's ID and an event, the error that ended its stream, or None at the stream's end."""


class EventFeed:
    """All events of the jobs from the first one. Jobs beyond the number of streams are read later, but completely."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.live: set[str] = set()  # IDs of the jobs whose stream is open
        self._unfinished = {job.id for job in jobs}
        self._waiting = deque(jobs)
        self._items: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        for _ in range(min(_MAX_STREAMS, len(jobs))):
            threading.Thread(target=self._read_streams, daemon=True).start()

    def __bool__(self) -> bool:
        """Whether more events may come."""
        return bool(self._unfinished)

    def get(self, timeout: float | None) -> list[tuple[str, JobEvent]]:
        """Wait up to `timeout` seconds for an event, and return all that have come. Raises the error of a stream."""
        events: list[tuple[str, JobEvent]] = []
        for job_id, item in self._drain(timeout):
            if isinstance(item, Exception):
                raise item
            if item is None:
                self._unfinished.discard(job_id)
            else:
                events.append((job_id, item))
        return events

    def _drain(self, timeout: float | None) -> Iterator[_Item]:
        try:
            yield self._items.get(timeout=timeout)
            while True:
                yield self._items.get_nowait()
        except queue.Empty:
            return

    def _read_streams(self) -> None:
        while self._waiting:
            try:
                job = self._waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            self.live.add(job.id)
            self._items.put((job.id, self._read_stream(job)))
            self.live.discard(job.id)

    def _read_stream(self, job: Job) -> Exception | None:
        """Read one stream to its end. Return the error that ended it, if any."""
        try:
            for event in copy.copy(job).events():  # events would change the status of `job` in this thread
                self._items.put((job.id, event))
        except Exception as error:  # noqa: BLE001 - `get` raises it in the main thread
            return error
        return None
