"""Watching jobs until they end: bars and pictures on a terminal, lines elsewhere, or their events as JSON."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn
from rich.table import Column

from easel import ApiError, BadInput, Job, JobState, JobView, Queue
from easel.terminal.event_feed import Inbox
from easel.terminal.tables import clock, ordinal, print_line, queue_sheet, state_style

if TYPE_CHECKING:
    from easel.terminal.images import Strip

_TICK: Final = 1.0  # seconds between two looks at the clock, and between two requests about a job whose bell is silent
_LINE_SECONDS: Final = 5.0
_MOST_PICTURES: Final = 4  # side by side: more would be too small to see anything


def watch(jobs: Sequence[Job], console: Console, *, pictures: bool | None = None) -> None:
    """Show the jobs until all have ended. Raises ApiError.

    `pictures` also shows what emerges: None where the terminal and what is installed allow it, True insists.
    """
    if console.is_terminal:
        _show_bars(jobs, console, _strip(jobs, pictures))
    else:
        _show_lines(jobs, console)


def watch_events(jobs: Sequence[Job]) -> None:
    """Print every event of the jobs, from their beginnings, as lines of JSON."""
    inbox = Inbox(jobs)
    while inbox:
        for job_id, event in inbox.take(timeout=None):
            print_line({"job": job_id, "id": event.id, "kind": event.kind, "data": event.data})
    for job in jobs:
        job.refresh()


def watch_queue(changes: Iterator[Queue], console: Console) -> None:
    """Show the queue as it changes, for as long as it is told of; its clocks go on in between."""
    with Live(console=console, refresh_per_second=1) as live:
        for queue in changes:
            live.update(_Clocked(queue))


@dataclass(frozen=True)
class _Clocked:
    """A queue sheet whose times are those of the moment when it is drawn."""

    queue: Queue
    seen: float = field(default_factory=time.monotonic)

    def __rich__(self) -> Group:
        return queue_sheet(self.queue, time.monotonic() - self.seen)


@dataclass
class View:
    """A job, and when it looked so."""

    job: JobView
    seen: float = field(default_factory=time.monotonic)
    pictured: bool = False  # there is a picture of it that was not shown yet

    def elapsed(self) -> float:
        """Seconds since the first worker took it, or until it ended."""
        if self.job.started_at is None:
            return 0.0
        return max(0.0, ((self.job.completed_at or datetime.now(UTC)) - self.job.started_at).total_seconds())

    def left(self) -> float | None:
        """Seconds until it ends, as likely as not."""
        eta = self.job.eta_seconds
        return None if eta is None or self.job.ended else max(0.0, eta.p50 - (time.monotonic() - self.seen))


def follow(jobs: Sequence[Job]) -> Iterator[dict[str, View]]:
    """All jobs, about once a second, until they have ended. Their events ring, their records tell."""
    views = {job.id: View(job.view, pictured=bool(job.view.urls.get("preview"))) for job in jobs}
    yield views
    inbox = Inbox([job for job in jobs if not job.ended])
    while not all(job.ended for job in jobs):
        events = inbox.take(timeout=_TICK)
        rung = {job_id for job_id, _ in events}
        pictured = {job_id for job_id, event in events if event.kind == "preview"}
        for job in jobs:
            told_of = job.id in inbox.listening and job.state != JobState.QUEUED  # no event tells of places in line
            unseen = not told_of and time.monotonic() - views[job.id].seen >= _TICK
            if not job.ended and (job.id in rung or unseen) and _look(job):
                views[job.id] = View(job.view)
            views[job.id].pictured = job.id in pictured
        yield views


def _look(job: Job) -> bool:
    """Ask anew; in vain while the service is away, which the stream of events will judge."""
    try:
        job.refresh()
    except ApiError as error:
        if not error.retryable:
            raise
        return False
    return True


# On a terminal.


def _show_bars(jobs: Sequence[Job], console: Console, strip: "Strip | None") -> None:
    bars = Progress(*_columns(console.width, several=len(jobs) > 1), console=console, expand=True)
    tasks = {job.id: bars.add_task("", total=100.0, **_fields(View(job.view))) for job in jobs}
    with Live(Group(bars, *([strip] if strip else [])), console=console, auto_refresh=False) as live:
        for views in follow(jobs):
            for job in jobs:
                view = views[job.id]
                visible = len(jobs) < console.height or not job.ended
                done = view.job.progress.percentage
                bars.update(tasks[job.id], completed=done, visible=visible, **_fields(view))
                if strip and view.pictured:
                    _picture(strip, job)
            live.refresh()


def _strip(jobs: Sequence[Job], wanted: bool | None) -> "Strip | None":  # noqa: FBT001 - three values
    """Where the pictures go, if they may be shown. Raises BadInput where they must be and cannot."""
    if wanted is False or not _terminal_can_be_asked() or len(jobs) > _MOST_PICTURES:
        return None
    try:
        from easel.terminal.images import Strip  # noqa: PLC0415 - optional, and importing it asks the terminal what it can show
    except ImportError:
        if wanted:
            detail = "Pictures want one more package: pip install 'easel[pictures]'."
            raise BadInput(detail, code="pictures_not_installed") from None
        return None
    return Strip([job.id for job in jobs], spare_rows=len(jobs) + 2)


def _terminal_can_be_asked() -> bool:
    """Whether there is one on both sides that says how large it is; those that scripts play often do not."""
    streams = [stream for stream in (sys.__stdin__, sys.__stdout__) if stream is not None and stream.isatty()]
    both = len(streams) == 2  # noqa: PLR2004 - in and out
    return both and os.environ.get("TERM") != "dumb" and all(os.get_terminal_size(streams[1].fileno()))


def _picture(strip: "Strip", job: Job) -> None:
    """Show a job's newest picture; the one before stays where it cannot be had."""
    with suppress(ApiError):  # where it matters, the next look at the job meets it, too
        strip.put(job.id, job.preview())


def _columns(width: int, *, several: bool) -> list[ProgressColumn]:
    """Those for which a terminal of `width` characters has room."""

    def column(name: str, needs: int, **style: Any) -> list[ProgressColumn]:
        told = TextColumn(f"{{task.fields[{name}]}}", table_column=Column(no_wrap=True, **style))
        return [told] if width >= needs else []

    return [
        *(column("name", 0, style="dim") if several else []),
        *column("phase", 0),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        *column("step", 60, justify="right"),
        *column("loss", 90),
        *column("rate", 80),
        *column("time", 70),
        *column("left", 40, style="cyan"),
    ]


def _fields(view: View) -> dict[str, Any]:
    """What a bar's columns read."""
    return {"name": view.job.id[-8:], **_words(view)}


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


def phase(job: JobView) -> str:
    """Where the job stands, in a word or two."""
    if job.state == JobState.RUNNING:
        return "starting" if job.progress.phase == "waiting" else job.progress.phase
    if job.state == JobState.QUEUED and job.queue_position:
        return f"{ordinal(job.queue_position)} in line"
    return str(job.state)


# Elsewhere: a log file, a pipe, a build server.


def _show_lines(jobs: Sequence[Job], console: Console) -> None:
    said: dict[str, tuple[str, float]] = {}
    for views in follow(jobs):
        for job_id, view in views.items():
            before, at = said.get(job_id, ("", 0.0))
            moved = phase(view.job) != before
            if moved or (not view.job.ended and time.monotonic() > at + _LINE_SECONDS):
                said[job_id] = phase(view.job), time.monotonic()
                console.print(line(view), markup=False, highlight=False, soft_wrap=True)


def line(view: View) -> str:
    """A job on one line."""
    words = {**_words(view), "phase": phase(view.job)}
    words["step"] = f"step {words['step']}" if words["step"] else ""
    words["time"] = f"{words['time']} elapsed" if words["time"] else ""
    parts = [words["phase"], f"{view.job.progress.percentage:.0f} %", *map(words.get, ("step", "loss", "rate", "time"))]
    return f"{view.job.id}  " + ", ".join(part for part in [*parts, words["left"]] if part)
