"""The one reader of all event streams that anybody in this process follows."""

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from shared.jobs.events import Event, Events, rank

_LOOK_SECONDS: Final = 0.1
"""How long one question to Redis waits for news; a job that is followed from now on is in the next one."""
_QUIET_SECONDS: Final = 1.0

_Feed = queue.SimpleQueue[list[Event] | Exception]


@dataclass
class _Desk:
    """A job that is followed."""

    last: str  # the id of the newest event that was handed out
    feeds: list[_Feed] = field(default_factory=list)


class News:
    """Hands each follower of a job what happens to it: one thread and one question to Redis, however many follow."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._desks: dict[str, _Desk] = {}
        self._reading = False  # whether the thread runs: only while somebody follows
        self._changing = threading.Lock()

    def follow(self, job_id: str, after: str) -> Generator[list[Event], None, None]:
        """All events after the id `after`, oldest first, in batches; an empty one for each second without news.

        Close it. Raises LedgerUnavailable.
        """
        with self._joined(job_id) as feed:
            news = self._events.since(job_id, after)
            while True:
                yield news
                after = news[-1].id if news else after
                news = [event for event in _next(feed) if rank(event.id) > rank(after)]

    @contextmanager
    def _joined(self, job_id: str) -> Iterator[_Feed]:
        """A feed of all that Redis hears from now on; a little of what it heard before may come, too."""
        feed: _Feed = queue.SimpleQueue()
        last = self._events.last_id(job_id)
        with self._changing:
            if not self._reading:
                threading.Thread(target=self._read, name="news", daemon=True).start()
                self._reading = True
            self._desks.setdefault(job_id, _Desk(last)).feeds.append(feed)  # the thread waits for this lock
        try:
            yield feed
        finally:
            self._leave(job_id, feed)

    def _leave(self, job_id: str, feed: _Feed) -> None:
        with self._changing:
            desk = self._desks.get(job_id)
            if desk and feed in desk.feeds:  # else the reader has given up on it
                desk.feeds.remove(feed)
                if not desk.feeds:
                    del self._desks[job_id]

    def _read(self) -> None:
        while wanted := self._wanted():
            try:
                self._hand_out(self._events.wait(wanted, seconds=_LOOK_SECONDS))
            except Exception as error:  # noqa: BLE001 - each follower raises it in a thread of its own
                self._give_up(error)

    def _wanted(self) -> dict[str, str]:
        """Jobs with the ids of the newest events that their followers know; where there are none, the thread ends."""
        with self._changing:
            self._reading = bool(self._desks)
            return {job_id: desk.last for job_id, desk in self._desks.items()}

    def _hand_out(self, found: dict[str, list[Event]]) -> None:
        with self._changing:
            for job_id, events in found.items():
                if desk := self._desks.get(job_id):
                    desk.last = events[-1].id
                    for feed in desk.feeds:
                        feed.put(events)

    def _give_up(self, error: Exception) -> None:
        """Tell everybody, who then come back by themselves."""
        with self._changing:
            for desk in self._desks.values():
                for feed in desk.feeds:
                    feed.put(error)
            self._desks.clear()


def _next(feed: _Feed) -> list[Event]:
    try:
        post = feed.get(timeout=_QUIET_SECONDS)
    except queue.Empty:
        return []
    if isinstance(post, Exception):
        raise post
    return post
