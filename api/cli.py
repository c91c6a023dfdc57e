"""The `easel` command: a thin shell over api/client.py. What scripts read goes to stdout, all else to stderr."""

import json
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.live import Live

from api.client import DEFAULT_URL, Easel, Job, JobState
from api.shell import (
    EXIT_CODES,
    Content,
    Group,
    Id,
    Ids,
    Json,
    Styles,
    judge,
    overlay,
    steer,
    tell_retry,
    until_ended,
    write,
)
from api.showing import err, job_sheet, job_table, out, print_json, queue_sheet, quoted, say
from api.watching import watch as watch_jobs
from api.watching import watch_events

_QUEUE_SECONDS: Final = 2.0
_HELP: Final = "Neural style transfer as a service.\n\n\b\nExit codes:\n" + "\n".join(
    f"{code:>3}  {what}" for code, what in EXIT_CODES.items()
)

app = typer.Typer(cls=Group, help=_HELP, no_args_is_help=True)


def main() -> None:
    """Where the console script starts."""
    app()


@app.callback()
def connect(
    ctx: typer.Context,
    *,
    url: Annotated[str, typer.Option(envvar="EASEL_URL", help="Where the service is.")] = DEFAULT_URL,
    api_key: Annotated[
        str | None, typer.Option(envvar="EASEL_API_KEY", help="Needed where the service asks for keys.")
    ] = None,
) -> None:
    """Open the client that all commands use."""
    ctx.obj = ctx.with_resource(Easel(url, api_key, on_retry=tell_retry))


@app.command()
def submit(
    ctx: typer.Context,
    content: Content,
    styles: Styles,
    *,
    recipe: Annotated[str, typer.Option(help="default, fast, tutorial, or a JSON file.")] = "default",
    size: Annotated[int | None, typer.Option(help="Longest side in pixels.")] = None,
    steps: Annotated[int | None, typer.Option(help="Evaluations of loss and gradient.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any recipe field; a.b=1 reaches inside.")
    ] = None,
    tier: Annotated[str | None, typer.Option(help="Which line to wait in.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Submit once, however often this runs.")] = None,
    quote: Annotated[bool, typer.Option("--quote", help="Say what it would cost; submit nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Watch until it has ended.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Wait, and write the picture here.")] = None,
    as_json: Json = False,
) -> None:
    """Paint CONTENT like the STYLES; print the job's id."""
    easel: Easel = ctx.obj
    fields = overlay(recipe, size, steps, settings or [])
    if quote:
        price = easel.quote(content, styles, fields, tier=tier)
        print_json(price.model_dump(mode="json")) if as_json else out.print(quoted(price), soft_wrap=True)
        return
    job = easel.submit(content, styles, fields, tier=tier, idempotency_key=idempotency_key)
    if not as_json:
        out.print(job.id)
    if not (wait or output):
        print_json(job.model_dump(mode="json")) if as_json else say(f"Watch it with: easel watch {job.id}")
        return
    [job] = until_ended([job.id], lambda: watch_jobs(easel, [job.id], err))
    if as_json:
        print_json(job.model_dump(mode="json"))
    fetched = output is not None and job.state == JobState.SUCCEEDED
    if output and fetched:
        write(output, easel.result(job.id))
    judge([job], fetched=fetched)


@app.command()
def watch(ctx: typer.Context, ids: Ids, *, as_json: Json = False) -> None:
    """Show jobs as they go on, until all have ended. With --json: every event, one a line."""
    easel: Easel = ctx.obj
    ids = list(dict.fromkeys(ids))
    follow = (lambda: watch_events(easel, ids)) if as_json else (lambda: watch_jobs(easel, ids, out))
    judge(until_ended(ids, follow))


@app.command("list")
def list_jobs(
    ctx: typer.Context,
    *,
    state: Annotated[JobState | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """The newest jobs."""
    easel: Easel = ctx.obj
    jobs = list(islice(easel.list(state, page=min(limit, 100)), limit))
    if as_json:
        print_json([job.model_dump(mode="json") for job in jobs])
    elif jobs:
        out.print(job_table(jobs))
    else:
        say("No jobs.")


@app.command()
def status(ctx: typer.Context, id: Id, *, as_json: Json = False) -> None:  # noqa: A002 - the name in the help
    """All about one job."""
    job: Job = ctx.obj.get(id)
    print_json(job.model_dump(mode="json")) if as_json else out.print(job_sheet(job))


@app.command()
def queue(
    ctx: typer.Context,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Keep looking, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """How long the lines are, what runs, who works. With --watch --json: one look a line."""
    easel: Easel = ctx.obj
    if not watch:
        print_json(easel.queue()) if as_json else out.print(queue_sheet(easel.queue()))
    elif as_json:
        _again(lambda: print(json.dumps(easel.queue()), flush=True))  # noqa: T201 - the command's output
    else:
        with Live(queue_sheet(easel.queue()), console=out, auto_refresh=False) as live:
            _again(lambda: live.update(queue_sheet(easel.queue()), refresh=True))


@app.command()
def cancel(ctx: typer.Context, ids: Ids, *, as_json: Json = False) -> None:
    """Stop jobs and keep nothing but their previews."""
    steer(ctx.obj.cancel, ids, as_json=as_json)


@app.command()
def finish(ctx: typer.Context, ids: Ids, *, as_json: Json = False) -> None:
    """Stop jobs now and keep their best pictures so far."""
    steer(ctx.obj.finish, ids, as_json=as_json)


@app.command()
def result(
    ctx: typer.Context,
    id: Id,  # noqa: A002 - the name in the help
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="The PNG to write; - for standard output.")],
    provenance: Annotated[bool, typer.Option("--provenance", help="Also write what made it, beside it.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch a finished picture. With --json: print what made it."""
    easel: Easel = ctx.obj
    picture = easel.result(id)
    about = easel.provenance(id) if provenance or as_json else {}
    write(output, picture)
    if provenance:
        write(output.with_suffix(".json"), json.dumps(about, indent=2).encode() + b"\n")
    if as_json:
        print_json(about)


@app.command()
def delete(ctx: typer.Context, id: Id, *, as_json: Json = False) -> None:  # noqa: A002 - the name in the help
    """Forget a job that has ended, with its pictures."""
    ctx.obj.delete(id)
    print_json({"id": id, "deleted": True}) if as_json else say(f"Deleted {id}.")


def _again(look: Callable[[], object]) -> None:
    """Until interrupted."""
    while True:
        look()
        time.sleep(_QUEUE_SECONDS)
