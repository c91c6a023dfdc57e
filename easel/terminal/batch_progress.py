"""The progress of a batch until it ends: one bar on a terminal, lines in a file or pipe."""

import time
from contextlib import suppress
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from easel import Batch, BatchStatus
from easel.terminal.tables import format_duration

_POLL_SECONDS: Final = 2.0


def watch_batch(batch: Batch, console: Console) -> None:
    """Show the batch until all its jobs have ended. Raises ApiError."""
    if console.is_terminal:
        columns = TextColumn("{task.description}", markup=False), BarColumn(bar_width=None), TaskProgressColumn()
        with Progress(*columns, console=console, expand=True) as progress:
            task = progress.add_task("", total=1.0)
            while True:
                progress.update(task, description=describe_batch(batch.status), completed=batch.status.progress)
                if batch.ended:
                    return
                _next(batch)
    printed = None
    while True:
        if batch.status.counts != printed:
            printed = batch.status.counts
            percentage = f"{batch.status.progress:.0%}"
            console.print(f"{batch.id}  {percentage}, {describe_batch(batch.status)}", markup=False, soft_wrap=True)
        if batch.ended:
            return
        _next(batch)


def describe_batch(status: BatchStatus) -> str:
    """Return 2 of 6 done, 1 failed, 1 running, 3 queued, 1:20 left."""
    counts, total = status.counts, len(status.jobs)
    others = ((counts.failed, "failed"), (counts.canceled, "canceled"), (counts.running, "running"))
    parts = [f"{counts.succeeded} of {total} done"]
    parts += [f"{count} {state}" for count, state in (*others, (counts.queued, "queued")) if count]
    if status.eta_seconds:
        parts.append(f"{format_duration(status.eta_seconds.p50)} left")
    if status.contact_sheet_error:
        parts.append("no contact sheet")
    return ", ".join(parts)


def _next(batch: Batch) -> None:
    """Refresh after a while. Raises Unreachable after about 40 seconds without a response."""
    time.sleep(_POLL_SECONDS)
    with suppress(TimeoutError):  # `refresh` gives up earlier
        batch.wait(0)
