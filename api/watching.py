"""Watching jobs until they end: bars on a terminal, a line now and then elsewhere, or their events as JSON lines."""

import json
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column

from api.client import ApiError, Easel, Event, Job, JobState
from api.showing import clock, ordinal, state_style

_TICK: Final = 1.0  # seconds between two looks at the clock, and at most between two requests about one job
_LINE_SECONDS: Final = 5.0
_Post = tuple[str, Event | Exception | None]


def watch(easel: Easel, ids: Sequence[str], console: Console) -> list[Job]:
    """Show the jobs until all have ended; as they ended. Raises ApiError."""
    show = _show_bars if console.is_terminal else _show_lines
    return [view.job for view in show(easel, ids, console).values()]


def watch_events(easel: Easel, ids: Sequence[str]) -> list[Job]:
    """Print every event of the jobs, from their beginnings, as lines of JSON; the jobs as they ended."""
    inbox = _Inbox(easel, ids)
    while inbox.listening:
        for job_id, event in inbox.take(timeout=None):
            line = {"job": job_id, "id": event.id, "kind": event.kind, "data": event.data}
            print(json.dumps(line), flush=True)  # noqa: T201 - this is the command's output
    return [easel.get(job_id) for job_id in ids]


@dataclass
class View:
    """A job, and when it looked so."""

    job: Job
    seen: float = field(default_factory=time.monotonic)

    def elapsed(self) -> float:
        """Seconds since the first worker took it, or until it ended."""
        if self.job.started_at is None:
            return 0.0
        return max(0.0, ((self.job.completed_at or datetime.now(UTC)) - self.job.started_at).total_seconds())

    def left(self) -> float | None:
        """Seconds until it ends, as likely as not."""
        eta = self.job.eta_seconds
        return None if eta is None or self.job.ended else max(0.0, eta.p50 - (time.monotonic() - self.seen))


def follow(easel: Easel, ids: Sequence[str]) -> Iterator[dict[str, View]]:
    """All jobs, about once a second, until they have ended. Their events ring, their records tell."""
    views = {job_id: View(easel.get(job_id)) for job_id in ids}
    yield views
    inbox = _Inbox(easel, [job_id for job_id, view in views.items() if not view.job.ended])
    while any(not view.job.ended for view in views.values()):
        rung = {job_id for job_id, _ in inbox.take(timeout=_TICK)}
        moving = {job_id for job_id, view in views.items() if view.job.state == JobState.QUEUED}
        for job_id in rung | moving | (views.keys() - inbox.listening):
            if not views[job_id].job.ended:
                views[job_id] = _look(easel, job_id) or views[job_id]
        yield views


def _look(easel: Easel, job_id: str) -> View | None:
    """The job now; None while the service is away, which the stream of events will judge."""
    try:
        return View(easel.get(job_id))
    except ApiError as error:
        if error.retryable:
            return None
        raise


class _Inbox:
    """The events of several jobs, each listened to by a thread of its own."""

    def __init__(self, easel: Easel, ids: Sequence[str]) -> None:
        self.listening = set(ids)
        self._easel = easel
        self._posts: queue.SimpleQueue[_Post] = queue.SimpleQueue()
        for job_id in self.listening:
            threading.Thread(target=self._listen, args=(job_id,), daemon=True).start()

    def _listen(self, job_id: str) -> None:
        try:
            for event in self._easel.events(job_id):
                self._posts.put((job_id, event))
            self._posts.put((job_id, None))
        except Exception as error:  # noqa: BLE001 - the main thread raises it
            self._posts.put((job_id, error))

    def take(self, timeout: float | None) -> list[tuple[str, Event]]:
        """All that came; waits for the first. Raises what a listener met."""
        events: list[tuple[str, Event]] = []
        for job_id, post in self._drain(timeout):
            if isinstance(post, Exception):
                raise post
            if post is None:
                self.listening.discard(job_id)
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


# On a terminal.


def _show_bars(easel: Easel, ids: Sequence[str], console: Console) -> dict[str, View]:
    views: dict[str, View] = {}
    with Progress(*_columns(several=len(ids) > 1), console=console, expand=True) as progress:
        tasks = {}
        for views in follow(easel, ids):
            for job_id, view in views.items():
                words: dict[str, Any] = {**_words(view), "name": job_id[-8:]}
                if job_id not in tasks:
                    tasks[job_id] = progress.add_task("", total=100.0, **words)
                progress.update(tasks[job_id], completed=view.job.progress.percentage, **words)
    return views


def _columns(*, several: bool) -> list[Any]:
    def column(name: str, **style: Any) -> TextColumn:
        return TextColumn(f"{{task.fields[{name}]}}", table_column=Column(no_wrap=True, **style))

    return [
        *([column("name", style="dim")] if several else []),
        column("phase"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        column("step", justify="right"),
        column("loss"),
        column("rate"),
        column("time"),
        column("left", style="cyan"),
    ]


def _words(view: View) -> dict[str, str]:
    """What stands beside a bar."""
    job, speed, left = view.job, view.job.metrics.steps_per_second, view.left()
    return {
        "phase": f"[{state_style(job.state)}]{phase(job)}[/]",
        "step": f"{job.progress.current}/{job.progress.total}" if job.progress.current else "",
        "loss": f"loss {job.losses.total:.4g}" if job.losses else "",
        "rate": f"{speed:.2g} steps/s" if speed else "",
        "time": clock(view.elapsed()) if job.started_at else "",
        "left": f"{clock(left)} left" if left is not None else "",
    }


def phase(job: Job) -> str:
    """Where the job stands, in a word or two."""
    if job.state == JobState.RUNNING:
        return "starting" if job.progress.phase == "waiting" else job.progress.phase
    if job.state == JobState.QUEUED and job.queue_position:
        return f"{ordinal(job.queue_position)} in line"
    return str(job.state)


# Elsewhere: a log file, a pipe, a build server.


def _show_lines(easel: Easel, ids: Sequence[str], console: Console) -> dict[str, View]:
    views: dict[str, View] = {}
    said: dict[str, tuple[str, float]] = {}
    for views in follow(easel, ids):
        for job_id, view in views.items():
            before, at = said.get(job_id, ("", 0.0))
            moved = phase(view.job) != before
            if moved or (not view.job.ended and time.monotonic() > at + _LINE_SECONDS):
                said[job_id] = phase(view.job), time.monotonic()
                console.print(line(view), markup=False, highlight=False, soft_wrap=True)
    return views


def line(view: View) -> str:
    """A job on one line."""
    words = {**_words(view), "phase": phase(view.job)}
    words["step"] = f"step {words['step']}" if words["step"] else ""
    words["time"] = f"{words['time']} elapsed" if words["time"] else ""
    parts = [words["phase"], f"{view.job.progress.percentage:.0f} %", *map(words.get, ("step", "loss", "rate", "time"))]
    return f"{view.job.id}  " + ", ".join(part for part in [*parts, words["left"]] if part)
