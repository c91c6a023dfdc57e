"""The `easel` command: a thin shell over easel. What scripts read goes to stdout, all else to stderr."""

import json
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer

from easel import DEFAULT_URL, Easel, Job, JobState
from easel.terminal.command import (
    EXIT_CODES,
    Content,
    Group,
    Id,
    Ids,
    Json,
    Output,
    Pictures,
    Styles,
    judge,
    overlay,
    steer,
    tell_retry,
    until_ended,
    write,
)
from easel.terminal.tables import (
    delivery_table,
    err,
    job_sheet,
    job_table,
    out,
    print_json,
    print_line,
    queue_sheet,
    quoted,
    recipes_sheet,
    say,
)
from easel.terminal.watch import watch as watch_jobs
from easel.terminal.watch import watch_events, watch_queue

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


# Asking for pictures.


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
    webhook_url: Annotated[str | None, typer.Option(help="Whom the service tells of the job.")] = None,
    webhook_events: Annotated[
        list[str] | None, typer.Option("--webhook-event", help="Of this, and not of all; may be repeated.")
    ] = None,
    quote: Annotated[bool, typer.Option("--quote", help="Say what it would cost; submit nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Watch until it has ended.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Wait, and write the picture here.")] = None,
    pictures: Pictures = None,
    as_json: Json = False,
) -> None:
    """Paint CONTENT like the STYLES; print the job's id."""
    easel: Easel = ctx.obj
    fields = overlay(recipe, size, steps, settings or [])
    if quote:
        price = easel.quote(content, styles, fields, tier=tier)
        print_json(price.model_dump(mode="json")) if as_json else out.print(quoted(price), soft_wrap=True)
        return
    told = {"webhook_url": webhook_url, "tier": tier, "idempotency_key": idempotency_key}
    job = easel.submit(content, styles, fields, webhook_events=webhook_events, **told)
    if not as_json:
        out.print(job.id)
    if not (wait or output):
        print_json(job.view.model_dump(mode="json")) if as_json else say(f"Watch it with: easel watch {job.id}")
        return
    until_ended([job], lambda: watch_jobs([job], err, pictures=pictures))
    if as_json:
        print_json(job.view.model_dump(mode="json"))
    fetched = output is not None and job.state == JobState.SUCCEEDED
    if output and fetched:
        write(output, job.result())
    judge([job], fetched=fetched)


@app.command()
def recipes(ctx: typer.Context, *, as_json: Json = False) -> None:
    """The presets, and what can be set. With --json: every field's bounds and meaning."""
    found = ctx.obj.recipes()
    print_json(found.model_dump(mode="json")) if as_json else out.print(recipes_sheet(found))


# Looking.


@app.command()
def watch(ctx: typer.Context, ids: Ids, *, pictures: Pictures = None, as_json: Json = False) -> None:
    """Show jobs as they go on, until all have ended. With --json: every event, one a line."""
    easel: Easel = ctx.obj
    jobs = [easel.get(id) for id in dict.fromkeys(ids)]  # noqa: A001 - as in the help
    until_ended(jobs, lambda: watch_events(jobs) if as_json else watch_jobs(jobs, out, pictures=pictures))
    judge(jobs)


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
    jobs = [job.view for job in islice(easel.list(state, page=min(limit, 100)), limit)]
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
    print_json(job.view.model_dump(mode="json")) if as_json else out.print(job_sheet(job.view))


@app.command()
def queue(
    ctx: typer.Context,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Keep looking, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """How long the lines are, what runs, who works. With --watch --json: every change, one a line."""
    easel: Easel = ctx.obj
    if not watch:
        now = easel.queue()
        print_json(now.model_dump(mode="json")) if as_json else out.print(queue_sheet(now))
    elif as_json:
        for now in easel.queue_events():
            print_line(now.model_dump(mode="json"))
    else:
        watch_queue(easel.queue_events(), out)


@app.command()
def deliveries(ctx: typer.Context, id: Id, *, as_json: Json = False) -> None:  # noqa: A002 - the name in the help
    """How a job's webhook was told of it."""
    job: Job = ctx.obj.get(id)
    told = job.deliveries()
    if as_json:
        print_json([one.model_dump(mode="json") for one in told])
    elif told:
        out.print(delivery_table(told))
    else:
        say(
            "Its webhook was told nothing yet." if job.view.webhook else "The job has no webhook: nobody is told of it."
        )


# Steering.


@app.command()
def cancel(ctx: typer.Context, ids: Ids, *, as_json: Json = False) -> None:
    """Stop jobs and keep nothing but their previews."""
    steer(ctx.obj, lambda job: job.cancel(), ids, as_json=as_json)


@app.command()
def finish(ctx: typer.Context, ids: Ids, *, as_json: Json = False) -> None:
    """Stop jobs now and keep their best pictures so far."""
    steer(ctx.obj, lambda job: job.finish(), ids, as_json=as_json)


# Fetching and forgetting.


@app.command()
def result(
    ctx: typer.Context,
    id: Id,  # noqa: A002 - the name in the help
    *,
    output: Output,
    provenance: Annotated[bool, typer.Option("--provenance", help="Also write what made it, beside it.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch a finished picture. With --json: print what made it."""
    job: Job = ctx.obj.get(id)
    picture = job.result()
    about = job.provenance() if provenance or as_json else {}
    write(output, picture)
    if provenance:
        write(output.with_suffix(".json"), json.dumps(about, indent=2).encode() + b"\n")
    if as_json:
        print_json(about)


@app.command()
def timelapse(ctx: typer.Context, id: Id, *, output: Output) -> None:  # noqa: A002 - the name in the help
    """Fetch how the picture emerged, as an animated WebP."""
    write(output, ctx.obj.get(id).timelapse())


@app.command()
def delete(ctx: typer.Context, id: Id, *, as_json: Json = False) -> None:  # noqa: A002 - the name in the help
    """Forget a job that has ended, with its pictures."""
    ctx.obj.get(id).delete()
    print_json({"id": id, "deleted": True}) if as_json else say(f"Deleted {id}.")
