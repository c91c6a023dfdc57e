"""How jobs, lists and the queue look on a terminal. Times are local, durations h:mm:ss."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from easel import Delivery, JobState, JobView, Queue, Quote, Range, Recipes

_STYLES: Final = {
    JobState.QUEUED: "yellow",
    JobState.RUNNING: "cyan",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELED: "bright_black",
}

out = Console(highlight=False, emoji=False)  # :bug: in what the service says stays :bug:
"""Standard output: what was asked for."""
err = Console(highlight=False, emoji=False, stderr=True)
"""Standard error: what goes on meanwhile."""


def say(sentence: str) -> None:
    """Tell the person at the terminal, who may have sent standard output elsewhere."""
    err.print(sentence, markup=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """One JSON document, for programs."""
    out.print(json.dumps(document, indent=2), markup=False, soft_wrap=True)


def print_line(document: Any) -> None:
    """One JSON document on a line of its own, at once, for programs that read a stream of them."""
    print(json.dumps(document), flush=True)  # noqa: T201 - this is the command's output


def state_style(state: JobState) -> str:
    """The colour of a state."""
    return _STYLES[state]


def clock(seconds: float) -> str:
    """0:07, 12:34, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def ago(moment: datetime) -> str:
    """Half a word for how long ago it was: 12 s, 3 min, 5 h, 2 d."""
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def gib(size: int) -> str:
    """Bytes as 1.3 GiB."""
    return f"{size / 2**30:.1f} GiB"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 11th."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def quoted(quote: Quote) -> str:
    """A quote as a sentence, or as three where no worker can hold the job."""
    advice = f" At size {quote.fitting_size} it would fit." if quote.fitting_size else ""
    on_gpu = quote.memory_kind == "gpu"
    memory = (
        f"{gib(quote.peak_gpu_memory_bytes)} of GPU memory" if on_gpu else f"{gib(quote.peak_memory_bytes)} of memory"
    )
    return (
        f"About {clock(quote.seconds)} of work and {memory} on one worker, "
        f"for a picture of {quote.width} x {quote.height} pixels."
        f"{'' if quote.fits else f' No worker has so much.{advice}'}"
    )


def job_table(jobs: Iterable[JobView]) -> Table:
    """One line a job."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("state")
    table.add_column("done", justify="right")
    table.add_column("recipe", overflow="fold")
    table.add_column("age", justify="right", no_wrap=True)
    for job in jobs:
        state = Text(str(job.state), style=state_style(job.state))
        table.add_row(job.id, state, f"{job.progress.percentage:.0f} %", recipe(job), ago(job.created_at))
    return table


def recipe(job: JobView) -> str:
    """The recipe's name and size."""
    return f"{job.recipe.get('preset', 'custom')} {job.recipe.get('size', '?')} px"


def job_sheet(job: JobView) -> Table:
    """All about one job."""
    sheet = Table(box=None, show_header=False, pad_edge=False)
    sheet.add_column(style="bold")
    sheet.add_column(overflow="fold")
    for name, value in _facts(job).items():
        if value:
            sheet.add_row(name, Text(value, style=state_style(job.state) if name == "state" else ""))
    return sheet


def _facts(job: JobView) -> dict[str, str]:
    progress, losses, eta, metrics = job.progress, job.losses, job.eta_seconds, job.metrics
    return {
        "id": job.id,
        "state": str(job.state) + (", stopped early" if job.stopped_early else ""),
        "error": f"{job.error.detail} ({job.error.code})" if job.error else "",
        "recipe": f"{recipe(job)}, {progress.total} steps, tier {job.tier}",
        "in line": ordinal(job.queue_position) if job.queue_position else "",
        "progress": f"{progress.phase}, {progress.percentage:.0f} %, step {progress.current} of {progress.total}",
        "time left": f"about {clock(eta.p50)}, at most {clock(eta.p90)}" if eta and not job.ended else "",
        "loss": f"{losses.total:.4g} = style {losses.style:.4g} + content {losses.content:.4g} "
        f"+ variation {losses.total_variation:.4g}"
        if losses
        else "",
        "speed": f"{metrics.steps_per_second:.2g} steps/s" if metrics.steps_per_second else "",
        "created": _local(job.created_at),
        "started": _local(job.started_at),
        "ended": _local(job.completed_at),
        "resumed": f"from step {job.resumed_from_step}" if job.resumed_from_step else "",
    }


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}, {ago(moment)} ago" if moment else ""


def ending(job: JobView) -> str:
    """How a job ended, as a sentence."""
    match job.state:
        case JobState.SUCCEEDED:
            early = ", stopped early" if job.stopped_early else ""
            return f"{job.id} succeeded after {job.progress.current} steps{early}."
        case JobState.FAILED:
            return f"{job.id} failed: {job.error.detail} ({job.error.code})" if job.error else f"{job.id} failed."
        case _:
            return f"{job.id} is {job.state}."


def fetching(job: JobView) -> str:
    """What to type to have the job's picture; empty where it has none."""
    if not job.urls.get("result"):
        return ""
    what = "Fetch it" if job.state == JobState.SUCCEEDED else "Fetch its last good picture"
    return f"{what} with: easel result {job.id} -o picture.png"


def queue_sheet(queue: Queue, later: float = 0.0) -> Group:
    """The lines, what runs, who works: the queue as it was `later` seconds ago, with its clocks moved on."""
    lines = _table("line", "waiting", "oldest", "a new job ends in")
    for tier in queue.tiers:
        oldest = clock((tier.oldest_seconds or 0) + later) if tier.depth else ""
        lines.add_row(tier.name, str(tier.depth), oldest, _span(tier.eta_seconds))
    running = _table("running", "worker", "phase", "done", "left")
    for job in queue.running:
        left = clock(max(0.0, job.eta_seconds.p50 - later)) if job.eta_seconds else ""
        holder = job.worker or next((one.name for one in queue.workers if one.job == job.id), "")
        running.add_row(job.id, holder, job.progress.phase, f"{job.progress.percentage:.0f} %", left)
    workers = _table("worker", "device", "memory", "weights", "does")
    for worker in queue.workers:
        memory = gib(worker.memory_bytes) if worker.memory_bytes else ""
        if memory and worker.memory_kind == "gpu":
            memory += " (GPU)"
        does = "works" if worker.job else "waits"
        workers.add_row(worker.name, worker.device, memory, worker.weights, does)
    done = queue.completed_last_hour
    said = [f"{done} job{'' if done == 1 else 's'} ended in the last hour.  {_sparks(queue)}".rstrip()]
    said += [] if queue.workers else ["No worker is alive: jobs wait until one is started."]
    return Group(*(table for table in (lines, running, workers) if table.row_count), "", *said)


def _span(eta: Range | None) -> str:
    return f"{clock(eta.p50)} to {clock(eta.p90)}" if eta else ""


def _sparks(queue: Queue) -> str:
    """The last hour's throughput, a block for each bucket."""
    counts = [bucket.completed for bucket in queue.throughput]
    most = max(counts, default=0) or 1
    return "".join(" ▁▂▃▄▅▆▇█"[-(-8 * count // most)] for count in counts)


def recipes_sheet(recipes: Recipes) -> Group:
    """The presets, one column each, in the few knobs that matter; then the names of all others."""
    table = _table("", *recipes.presets)
    for knob in recipes.knobs:
        table.add_row(knob, *(_short(preset.get(knob)) for preset in recipes.presets.values()))
    others = sorted(recipes.fields.get("properties", {}).keys() - set(recipes.knobs))
    return Group(table, "", Text(f"Also, by --set KEY=VALUE: {', '.join(others)}."))


def _short(value: Any) -> str:
    return str(value.get("kind", value)) if isinstance(value, dict) else str(value)


def delivery_table(deliveries: Iterable[Delivery]) -> Table:
    """One line an attempt."""
    table = _table("event", "attempt", "at", "answer", "next")
    for one in deliveries:
        answer = " ".join(filter(None, (str(one.status or ""), one.error)))
        table.add_row(one.event, str(one.attempt), _time(one.at), answer, _time(one.next_attempt_at))
    return table


def _time(moment: datetime | None) -> str:
    return f"{moment.astimezone():%H:%M:%S}" if moment else ""


def _table(*headers: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in headers:
        table.add_column(header, no_wrap=header in {"running", "left", "line", "memory"})
    return table
