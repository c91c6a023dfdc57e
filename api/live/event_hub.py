"""Fans the job events in Redis out to all subscribers in this process."""

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from shared.jobs.events import JobEvents, StoredEvent, event_order

_BLOCK_SECONDS: Final = 0.1
"""How long one read blocks in Redis. A job that gets its first subscriber meanwhile is part of the next read."""
_QUIET_SECONDS: Final = 1.0

Subscription = queue.SimpleQueue[list[StoredEvent] | Exception]
"""Batches of events for one subscriber, or the error that ended the reading."""


@dataclass
class _Topic:
    """A job with subscribers."""

    last_id: str  # of the newest event that was handed out
    subscriptions: list[Subscription] = field(default_factory=list)


class EventHub:
    """Reads all jobs that have subscribers with one thread and one Redis command at a time."""

    def __init__(self, events: JobEvents) -> None:
        self._events = events
        self._topics: dict[str, _Topic] = {}
        self._reading = False  # whether the thread runs: only while there are subscribers
        self._lock = threading.Lock()

    def subscribe(self, job_id: str, after: str) -> Generator[list[StoredEvent], None, None]:
        """Yield all events after the ID `after` in batches, oldest first; an empty batch after a second without events.

        Close the generator to unsubscribe. Raises LedgerUnavailable.
        """
        with self._subscription(job_id) as subscription:
            batch = self._events.since(job_id, after)
            while True:
                yield batch
                after = batch[-1].id if batch else after
                batch = [event for event in _next(subscription) if event_order(event.id) > event_order(after)]

    @contextmanager
    def _subscription(self, job_id: str) -> Iterator[Subscription]:
        """Subscribe to all events from now on; a few earlier ones may come, too."""
        subscription: Subscription = queue.SimpleQueue()
        last_id = self._events.last_id(job_id)
        with self._lock:
            if not self._reading:
                threading.Thread(target=self._read, name="event-hub", daemon=True).start()
                self._reading = True
            # The thread waits for this lock before it looks for topics.
            self._topics.setdefault(job_id, _Topic(last_id)).subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._unsubscribe(job_id, subscription)

    def _unsubscribe(self, job_id: str, subscription: Subscription) -> None:
        with self._lock:
            topic = self._topics.get(job_id)
            if topic and subscription in topic.subscriptions:  # else an error has ended it
                topic.subscriptions.remove(subscription)
                if not topic.subscriptions:
                    del self._topics[job_id]

    def _read(self) -> None:
        while last_ids := self._last_ids():
            try:
                self._publish(self._events.wait(last_ids, seconds=_BLOCK_SECONDS))
            except Exception as error:  # noqa: BLE001 - each subscriber raises it in its own thread
                self._fail(error)

    def _last_ids(self) -> dict[str, str]:
        """Return the ID of the newest known event by job. The thread ends if there are no jobs."""
        with self._lock:
            self._reading = bool(self._topics)
            return {job_id: topic.last_id for job_id, topic in self._topics.items()}

    def _publish(self, batches: dict[str, list[StoredEvent]]) -> None:
        with self._lock:
            for job_id, batch in batches.items():
                if topic := self._topics.get(job_id):
                    topic.last_id = batch[-1].id
                    for subscription in topic.subscriptions:
                        subscription.put(batch)

    def _fail(self, error: Exception) -> None:
        """End all subscriptions. Clients reconnect by themselves."""
        with self._lock:
            for topic in self._topics.values():
                for subscription in topic.subscriptions:
                    subscription.put(error)
            self._topics.clear()


def _next(subscription: Subscription) -> list[StoredEvent]:
    try:
        batch = subscription.get(timeout=_QUIET_SECONDS)
    except queue.Empty:
        return []
    if isinstance(batch, Exception):
        raise batch
    return batch
