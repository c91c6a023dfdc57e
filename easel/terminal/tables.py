"""Tables and sentences of the `easel` command. Times are local, durations h:mm:ss."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from easel import Delivery, DurationRange, JobState, JobStatus, Queue, Quote, Recipes
from easel.terminal.output import printable

_STYLES: Final = {
    JobState.QUEUED: "yellow",
    JobState.RUNNING: "cyan",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELED: "bright_black",
}

FETCHING: Final = "fetching the images"  # what a queued job does that waits for its inputs


def state_style(state: JobState) -> str:
    """Return the color of a state."""
    return _STYLES[state]


def format_duration(seconds: float) -> str:
    """Return 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _format_range(duration: DurationRange) -> str:
    """Return about 1:00 (90% within 1:30), as the pages do."""
    p50, p90 = format_duration(duration.p50), format_duration(duration.p90)
    return f"about {p50}" if p50 == p90 else f"about {p50} (90% within {p90})"


def format_age(moment: datetime) -> str:
    """Return the time since then in one unit: 12 s, 3 min, 5 h, 2 d."""
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def format_rest(moment: datetime | None) -> str:
    """Return the time until then: in about 48 s, or soon."""
    seconds = (moment - datetime.now(UTC)).total_seconds() if moment else 0
    return f"in about {seconds:.0f} s" if seconds > 0 else "soon"


def format_bytes(size: int) -> str:
    """Return bytes as 1.3 GiB."""
    return f"{size / 2**30:.1f} GiB"


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 11th."""
    suffix = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def describe_quote(quote: Quote) -> str:
    """Return a quote as a sentence; a second and a third one if no worker has enough memory."""
    advice = f" At size {quote.fitting_size} it would fit." if quote.fitting_size else ""
    on_gpu = quote.memory_kind == "gpu"
    memory = format_bytes(quote.peak_gpu_memory_bytes if on_gpu else quote.peak_memory_bytes)
    return (
        f"About {format_duration(quote.seconds)} and {memory} of {'GPU memory' if on_gpu else 'memory'} on one worker, "
        f"for an image of {quote.width} x {quote.height} pixels."
        f"{'' if quote.fits else f' No worker has that much memory.{advice}'}"
    )


def job_table(jobs: Iterable[JobStatus]) -> Table:
    """Return a table with one row per job."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("state")
    table.add_column("done", justify="right")
    table.add_column("recipe", overflow="fold")
    table.add_column("age", justify="right", no_wrap=True)
    for job in jobs:
        state = Text(_state(job), style=state_style(job.state))
        _add_row(table, job.id, state, _done(job), _recipe(job), format_age(job.created_at))
    return table


def _add_row(table: Table, *cells: str | Text) -> None:
    """Add a row. Strings are text of users and services: they are shown as they are, not taken for markup."""
    table.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in cells))


def _done(job: JobStatus) -> str:
    """Return 30 %, or the number of steps of an early finish, whose percentage ended below 100."""
    early = job.stopped_early and job.state == JobState.SUCCEEDED
    return f"{job.progress.current} steps" if early else f"{job.progress.percentage:.0f} %"


def _state(job: JobStatus) -> str:
    """Return the state; with what the job waits for, or whether the result is that of an early finish."""
    if job.waiting_for == "inputs":
        return f"{job.state}, {FETCHING}"
    return str(job.state) + (" early" if job.stopped_early and job.state == JobState.SUCCEEDED else "")


def _recipe(job: JobStatus) -> str:
    return f"{job.recipe.get('preset', 'custom')} {job.recipe.get('size', '?')} px"


def job_details(job: JobStatus) -> Table:
    """Return a table with one row per property of a job."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _properties(job).items():
        if value:
            text = printable(value)
            _add_row(table, name, Text(text, style=state_style(job.state) if name == "state" else ""))
    return table


def _properties(job: JobStatus) -> dict[str, str]:
    progress, losses, eta, metrics = job.progress, job.losses, job.eta_seconds, job.metrics
    return {
        "id": job.id,
        "state": _state(job),
        "error": f"{job.error.detail} ({job.error.code})" if job.error else "",
        "recipe": f"{_recipe(job)}, {progress.total} steps, tier {job.tier}",
        "position": f"{ordinal(job.queue_position)} in the queue" if job.queue_position else "",
        "progress": f"{progress.phase}, {_done(job)}, step {progress.current} of {progress.total}",
        "worker": _worker(job),
        "time left": _format_range(eta) if eta and not job.ended else "",
        "loss": f"{losses.total:.4g} = style {losses.style:.4g} + content {losses.content:.4g} "
        f"+ variation {losses.total_variation:.4g}"
        if losses
        else "",
        "speed": f"{metrics.steps_per_second:.2g} steps/s" if metrics.steps_per_second else "",
        "metadata": ", ".join(_printable(f"{key}={value}") for key, value in job.metadata.items()),
        "created": _time_and_age(job.created_at),
        "started": _time_and_age(job.started_at),
        "ended": _time_and_age(job.completed_at),
        "resumed": f"from step {job.resumed_from_step}" if job.resumed_from_step else "",
    }


def _printable(text: str) -> str:
    """Return the text; with control characters, which would act on the terminal, escaped."""
    return text if text.isprintable() else repr(text)


def _worker(job: JobStatus) -> str:
    silent = f"silent for {format_age(job.worker_silent_since)}" if job.worker_silent_since else ""
    return ", ".join(filter(None, (job.worker, silent)))


def _time_and_age(moment: datetime | None) -> str:
    return f"{_time(moment)}, {format_age(moment)} ago" if moment else ""


def describe_outcome(job: JobStatus) -> str:
    """Return how a job ended as a sentence."""
    match job.state:
        case JobState.SUCCEEDED:
            early = ", stopped early" if job.stopped_early else ""
            return f"{job.id} succeeded after {job.progress.current} steps{early}."
        case JobState.FAILED:
            return f"{job.id} failed: {job.error.detail} ({job.error.code})" if job.error else f"{job.id} failed."
        case _:
            return f"{job.id} is {job.state}."


def result_hint(job: JobStatus) -> str:
    """Return the command that fetches the job's result; empty if there is none."""
    if not job.urls.get("result"):
        return ""
    result = "the result" if job.state == JobState.SUCCEEDED else "the last good image"
    return f"Fetch {result} with: easel result {job.id} -o result.png"


def queue_tables(queue: Queue, elapsed: float = 0.0) -> Group:
    """Return the queue as tables. Its times are advanced by `elapsed` seconds, the age of `queue`."""
    tiers = _table("tier", "waiting", "oldest", "a new job ends in")
    for tier in queue.tiers:
        oldest = format_duration((tier.oldest_seconds or 0) + elapsed) if tier.depth else ""
        eta = _format_range(tier.eta_seconds) if tier.eta_seconds else ""
        _add_row(tiers, tier.name, str(tier.depth), oldest, eta)
    running = _table("running", "worker", "phase", "done", "left")
    for job in queue.running:
        remaining = format_duration(max(0.0, job.eta_seconds.p50 - elapsed)) if job.eta_seconds else ""
        worker_name = job.worker or next((worker.name for worker in queue.workers if worker.job == job.id), "")
        _add_row(running, job.id, worker_name, job.progress.phase, f"{job.progress.percentage:.0f} %", remaining)
    workers = _table("worker", "device", "memory", "weights", "state")
    for worker in queue.workers:
        memory = format_bytes(worker.memory_bytes) if worker.memory_bytes else ""
        if memory and worker.memory_kind == "gpu":
            memory += " (GPU)"
        _add_row(
            workers,
            worker.name,
            worker.device,
            memory,
            worker.weights,
            "running" if worker.busy or worker.job else "idle",
        )
    done = queue.completed_last_hour
    footer = [f"{done} job{'' if done == 1 else 's'} ended in the last hour."]
    footer += [] if queue.workers else ["No worker is alive: jobs wait until one is started."]
    return Group(*(table for table in (tiers, running, workers) if table.row_count), "", *footer)


def recipe_tables(recipes: Recipes) -> Group:
    """Return a table of the featured fields with one column per preset, and the names of the other fields."""
    table = _table("", *map(escape, recipes.presets))
    for name in recipes.featured:
        _add_row(table, name, *(_short(preset.get(name)) for preset in recipes.presets.values()))
    others = sorted(recipes.fields.get("properties", {}).keys() - set(recipes.featured))
    return Group(table, "", Text(f"More, with --set KEY=VALUE: {', '.join(others)}."))


def _short(value: Any) -> str:
    return str(value.get("kind", value)) if isinstance(value, dict) else str(value)


def delivery_table(deliveries: Iterable[Delivery]) -> Table:
    """Return a table with one row per attempt."""
    table = _table("event", "attempt", "at", "response", "next")
    for delivery in deliveries:
        response = " ".join(filter(None, (str(delivery.status or ""), delivery.error)))
        at, next_at = _time(delivery.at), _time(delivery.next_attempt_at)
        _add_row(table, delivery.event, str(delivery.attempt), at, response, next_at)
    return table


def _time(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""


def _table(*headers: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in headers:
        table.add_column(header, no_wrap=header in {"running", "left", "tier", "memory", "at", "next"})
    return table
