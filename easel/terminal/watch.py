"""Displays of jobs until they end: bars and previews on a terminal, lines in a file or pipe, or events as JSON."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn
from rich.table import Column

from easel import ApiError, BadInput, Job, JobEvent, JobState, JobStatus, Queue, QueueEvent
from easel.terminal.event_feed import EventFeed
from easel.terminal.job_updates import JobUpdate, iter_updates
from easel.terminal.output import print_json_line
from easel.terminal.tables import FETCHING, format_duration, ordinal, queue_tables, state_style

if TYPE_CHECKING:
    from easel.terminal.images import PreviewRow

_LINE_SECONDS: Final = 5.0
_MAX_PREVIEWS: Final = 4  # more side by side would be too small


def watch(jobs: Sequence[Job], console: Console, *, previews: bool | None = None) -> None:
    """Show the jobs until all have ended. Raises ApiError.

    `previews` are shown on terminals: None if the terminal and the installed packages allow it, True requires it.
    """
    if console.is_terminal:
        _show_bars(jobs, console, _preview_row(jobs, previews))
    else:
        _show_lines(jobs, console)


def watch_events(jobs: Sequence[Job]) -> None:
    """Print every event of the jobs from the first one, as lines of JSON. Raises ApiError."""
    feed = EventFeed(jobs)
    while feed:
        for job_id, event in feed.get(timeout=None):
            print_json_line({"job": job_id, **_event_fields(event)})
    for job in jobs:
        job.refresh()


def _event_fields(event: JobEvent) -> dict[str, Any]:
    """Return id, kind and data as the service sent them."""
    data = event.model_dump(mode="json", exclude_unset=True)["data"]
    return {"id": event.id, "kind": event.name if event.kind == "unknown" else event.kind, "data": data}


def watch_queue(events: Iterator[QueueEvent], console: Console) -> None:
    """Show the queue until the stream of its events ends; times advance between two events."""
    with Live(console=console, refresh_per_second=1) as live:
        for event in events:
            if event.kind == "queue":
                live.update(_LiveQueue(event.data))


@dataclass(frozen=True)
class _LiveQueue:
    """Tables of the queue whose times are those of the moment when they are drawn."""

    queue: Queue
    received_at: float = field(default_factory=time.monotonic)

    def __rich__(self) -> Group:
        return queue_tables(self.queue, time.monotonic() - self.received_at)


# On a terminal.


def _show_bars(jobs: Sequence[Job], console: Console, row: "PreviewRow | None") -> None:
    bars = Progress(*_columns(console.width, multiple_jobs=len(jobs) > 1), console=console, expand=True)
    tasks = {job.id: bars.add_task("", total=100.0, **_bar_fields(JobUpdate(job.status))) for job in jobs}
    with Live(Group(bars, *([row] if row else [])), console=console, auto_refresh=False) as live:
        for updates in iter_updates(jobs):
            for job in jobs:
                update = updates[job.id]
                _print_notices(update, console)
                visible = len(jobs) < console.height or not job.ended
                percentage = update.status.progress.percentage
                bars.update(tasks[job.id], completed=percentage, visible=visible, **_bar_fields(update))
                if row and update.new_preview:
                    _update_preview(row, job)
            live.refresh()


def _preview_row(jobs: Sequence[Job], previews: bool | None) -> "PreviewRow | None":  # noqa: FBT001 - three values
    """Return the row of previews, or None if they are not shown. Raises BadInput if they are required but cannot be."""
    if previews is False or not _can_query_terminal() or len(jobs) > _MAX_PREVIEWS:
        return None
    try:
        from easel.terminal.images import PreviewRow  # noqa: PLC0415 - optional, and importing it queries the terminal
    except ImportError:
        if previews:
            detail = "Previews need one more package: pip install 'easel-client[images]'."
            raise BadInput(detail, code="images_not_installed") from None
        return None
    return PreviewRow([job.id for job in jobs], reserved_rows=len(jobs) + 2)


def _can_query_terminal() -> bool:
    """Return whether input and output are a terminal of known size; those that scripts simulate often have none."""
    streams = [stream for stream in (sys.__stdin__, sys.__stdout__) if stream is not None and stream.isatty()]
    both = len(streams) == 2  # noqa: PLR2004 - in and out
    return both and os.environ.get("TERM") != "dumb" and all(os.get_terminal_size(streams[1].fileno()))


def _update_preview(row: "PreviewRow", job: Job) -> None:
    """Show a job's newest preview, or keep the one before if it cannot be fetched."""
    with suppress(ApiError):  # a lasting error is raised by the next refresh of the job
        row.update(job.id, job.preview())


def _columns(width: int, *, multiple_jobs: bool) -> list[ProgressColumn]:
    """Return the columns that fit on a terminal of `width` characters."""

    def column(name: str, min_width: int, **style: Any) -> list[ProgressColumn]:
        text = TextColumn(f"{{task.fields[{name}]}}", markup=False, table_column=Column(no_wrap=True, **style))
        return [text] if width >= min_width else []

    return [
        *(column("name", 0, style="dim") if multiple_jobs else []),
        *column("phase", 0),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        *column("step", 60, justify="right"),
        *column("loss", 90),
        *column("rate", 80),
        *column("elapsed", 70),
        *column("remaining", 40, style="cyan"),
    ]


def _bar_fields(update: JobUpdate) -> dict[str, Any]:
    """Return the texts of a bar's columns."""
    texts = _texts(update)
    style = state_style(update.status.state)
    return {**texts, "name": update.status.id[-8:], "phase": f"[{style}]{texts['phase']}[/]"}


def _texts(update: JobUpdate) -> dict[str, str]:
    job, speed, remaining = update.status, update.status.metrics.steps_per_second, update.remaining()
    return {
        "phase": phase_text(job),
        "step": f"{job.progress.current}/{job.progress.total}" if job.progress.current else "",
        "loss": f"loss {job.losses.total:.4g}" if job.losses else "",
        "rate": f"{speed:.2g} steps/s" if speed else "",
        "elapsed": format_duration(update.elapsed()) if job.started_at else "",
        "remaining": f"{format_duration(remaining)} left" if remaining is not None else "",
    }


def phase_text(job: JobStatus) -> str:
    """Return the job's phase, position in the queue or state; or what it waits for, such as a silent worker."""
    if job.worker_silent_since:
        return "worker silent"
    if job.state == JobState.RUNNING:
        return "starting" if job.progress.phase == "waiting" else job.progress.phase
    if job.waiting_for == "inputs":
        return FETCHING
    if job.state == JobState.QUEUED and job.queue_position:
        return f"{ordinal(job.queue_position)} in the queue"
    return str(job.state)


# In a log file, a pipe or a build server.


def _show_lines(jobs: Sequence[Job], console: Console) -> None:
    printed: dict[str, tuple[str, float]] = {}
    for updates in iter_updates(jobs):
        for job_id, update in updates.items():
            _print_notices(update, console)
            phase, (last_phase, printed_at) = phase_text(update.status), printed.get(job_id, ("", 0.0))
            due = not update.status.ended and time.monotonic() > printed_at + _LINE_SECONDS
            if phase != last_phase or due:
                printed[job_id] = phase, time.monotonic()
                console.print(format_line(update), markup=False, highlight=False, soft_wrap=True)


def _print_notices(update: JobUpdate, console: Console) -> None:
    for notice in update.notices:
        console.print(f"{update.status.id}  {notice}", markup=False, highlight=False, soft_wrap=True)


def format_line(update: JobUpdate) -> str:
    """Return a job's update as one line."""
    texts, percentage = _texts(update), f"{update.status.progress.percentage:.0f} %"
    step = f"step {texts['step']}" if texts["step"] else ""
    elapsed = f"{texts['elapsed']} elapsed" if texts["elapsed"] else ""
    parts = [texts["phase"], percentage, step, texts["loss"], texts["rate"], elapsed, texts["remaining"]]
    return f"{update.status.id}  {', '.join(filter(None, parts))}"
