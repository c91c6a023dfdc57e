"""The events of many jobs at once, over a bounded number of connections."""

import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from easel import Event, Job

_LISTENERS: Final = 8
"""Streams at once: each is a thread here and a seat there, and the service has few for each client."""
_Post = tuple[str, Event | Exception | None]


class Inbox:
    """What happens to the jobs from their beginnings on. With many jobs, the last ones' events come late, but all."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.listening: set[str] = set()  # whose events come as they happen
        self._open = {job.id for job in jobs}
        self._waiting = deque(jobs)
        self._posts: queue.SimpleQueue[_Post] = queue.SimpleQueue()
        for _ in range(min(_LISTENERS, len(jobs))):
            threading.Thread(target=self._listen, daemon=True).start()

    def __bool__(self) -> bool:
        """Whether anything may still come."""
        return bool(self._open)

    def take(self, timeout: float | None) -> list[tuple[str, Event]]:
        """All that came; waits for the first. Raises what a listener met."""
        events: list[tuple[str, Event]] = []
        for job_id, post in self._drain(timeout):
            if isinstance(post, Exception):
                raise post
            if post is None:
                self._open.discard(job_id)
            else:
                events.append((job_id, post))
        return events

    def _drain(self, timeout: float | None) -> Iterator[_Post]:
        try:
            yield self._posts.get(timeout=timeout)
            while True:
                yield self._posts.get_nowait()
        except queue.Empty:
            return

    def _listen(self) -> None:
        """One story after another."""
        while self._waiting:
            try:
                job = self._waiting.popleft()
            except IndexError:  # another listener was faster
                return
            self.listening.add(job.id)
            self._posts.put((job.id, self._hear(job)))
            self.listening.discard(job.id)

    def _hear(self, job: Job) -> Exception | None:
        """One story to its end; what ended it, if it was no good end."""
        try:
            for event in job.events():
                self._posts.put((job.id, event))
        except Exception as error:  # noqa: BLE001 - the main thread raises it
            return error
        return None
