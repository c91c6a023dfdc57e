"""The `easel` command. Results go to standard output, messages and progress to standard error."""

from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from easel import DEFAULT_URL, Easel, Job, JobState, __version__, batch_commands, file_commands
from easel.terminal.command import (
    HELP,
    TIMES,
    CommandGroup,
    Content,
    Id,
    Ids,
    InitImage,
    InitJob,
    Json,
    Masks,
    Overrides,
    Previews,
    SaveEvery,
    StyleMasks,
    Styles,
    Tier,
    WebhookEvents,
    build_recipe,
    control_jobs,
    report_outcomes,
    report_retry,
    split_pairs,
    until_ended,
)
from easel.terminal.files import check_output, is_standard, read_images, write_images
from easel.terminal.output import print_json, print_json_line, print_message, stderr, stdout
from easel.terminal.tables import delivery_table, describe_quote, job_details, job_table, queue_tables, recipe_tables
from easel.terminal.watch import watch as watch_jobs
from easel.terminal.watch import watch_events, watch_queue

app = typer.Typer(cls=CommandGroup, help=HELP, no_args_is_help=True)
app.add_typer(file_commands.app)
app.add_typer(batch_commands.app, name="batch")


def main() -> None:
    """Run the console script."""
    app()


def _print_version(requested: bool) -> None:  # noqa: FBT001 - Typer passes the option's value
    if requested:
        stdout.print(f"easel {__version__}")
        raise typer.Exit


@app.callback()
def connect(
    ctx: typer.Context,
    *,
    url: Annotated[str, typer.Option(envvar="EASEL_URL", help="Address of the service.")] = DEFAULT_URL,
    api_key: Annotated[str | None, typer.Option(envvar="EASEL_API_KEY", help="API key, if required.")] = None,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Open the client that all commands use."""
    ctx.obj = ctx.with_resource(Easel(url, api_key, on_retry=report_retry))


# Submission.


@app.command()
def submit(
    ctx: typer.Context,
    content: Content,
    styles: Styles,
    *,
    recipe: Annotated[str, typer.Option(help="The name of a preset, or a JSON file.")] = "default",
    size: Annotated[int | None, typer.Option(help="Longest side in pixels.")] = None,
    steps: Annotated[int | None, typer.Option(help="Evaluations of loss and gradient.")] = None,
    save_every: SaveEvery = None,
    overrides: Overrides = None,
    mask: Masks = None,
    style_mask: StyleMasks = None,
    init_image: InitImage = None,
    init_job: InitJob = None,
    tier: Tier = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A string by which you find the job; may be repeated.")
    ] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Submit only once with this key.")] = None,
    webhook_url: Annotated[str | None, typer.Option(help="URL that receives the job's webhooks.")] = None,
    webhook_events: WebhookEvents = None,
    quote_only: Annotated[bool, typer.Option("--quote", help="Print time and memory; submit nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Watch the job until it has ended.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Wait, and write the result here; - for standard output.")
    ] = None,
    previews: Previews = None,
    as_json: Json = False,
) -> None:
    """Render CONTENT in the style of the STYLE images; print the job's ID."""
    easel: Easel = ctx.obj
    fields = build_recipe(recipe, overrides or [], size=size, steps=steps, save_every=save_every)
    if output:
        check_output(output, with_json=as_json)
    photo, *paintings = read_images([content, *styles])
    masks = {"content_mask": mask or (), "style_mask": style_mask or ()}
    images: dict[str, Any] = {**masks, "init_image": init_image, "init_job": init_job}
    if quote_only:
        quote = easel.quote(photo, paintings, fields, tier=tier, **images)
        if as_json:
            print_json(quote.model_dump(mode="json"))
        else:
            stdout.print(describe_quote(quote), soft_wrap=True)
        return
    webhook: dict[str, Any] = {"webhook_url": webhook_url, "webhook_events": webhook_events}
    named: dict[str, Any] = {"tier": tier, "metadata": dict(split_pairs(metadata or [], "--metadata", "order=6735"))}
    job = easel.submit(photo, paintings, fields, idempotency_key=idempotency_key, **named, **images, **webhook)
    if is_standard(output):
        print_message(job.id)
    elif not as_json:
        stdout.print(job.id, markup=False)
    if not (wait or output):
        if as_json:
            print_json(job.status.model_dump(mode="json"))
        else:
            print_message(f"Watch it with: easel watch {job.id}")
        return
    until_ended([job], lambda: watch_jobs([job], stderr, previews=previews))
    if as_json:
        print_json(job.status.model_dump(mode="json"))
    report_outcomes([job], fetched=output is not None and write_images(job, output))


@app.command()
def recipes(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Show the presets and the names of all recipe fields; --json adds their bounds and descriptions."""
    catalog = ctx.obj.recipes()
    print_json(catalog.model_dump(mode="json")) if as_json else stdout.print(recipe_tables(catalog))


# Jobs and the queue.


@app.command()
def watch(ctx: typer.Context, ids: Ids, *, previews: Previews = None, as_json: Json = False) -> None:
    """Show jobs until all have ended. With --json: print every event, one per line."""
    easel: Easel = ctx.obj
    jobs = [easel.get(job_id) for job_id in dict.fromkeys(ids)]
    until_ended(jobs, lambda: watch_events(jobs) if as_json else watch_jobs(jobs, stdout, previews=previews))
    report_outcomes(jobs)


@app.command("list")
def list_jobs(
    ctx: typer.Context,
    *,
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    preset: Annotated[str | None, typer.Option(help="Only jobs whose recipe is based on this preset.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only jobs with this metadata; may be repeated.")
    ] = None,
    created_after: Annotated[datetime | None, typer.Option(formats=TIMES, help="Only jobs since this time.")] = None,
    created_before: Annotated[datetime | None, typer.Option(formats=TIMES, help="Only jobs before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The number of jobs.")] = 20,
    as_json: Json = False,
) -> None:
    """List the newest jobs."""
    easel: Easel = ctx.obj
    pairs = dict(split_pairs(metadata or [], "--metadata", "order=6735"))
    times: dict[str, Any] = {"created_after": created_after, "created_before": created_before}
    jobs = easel.list(state, preset=preset, metadata=pairs, page=min(limit, 100), **times)
    statuses = [job.status for job in islice(jobs, limit)]
    if as_json:
        print_json([status.model_dump(mode="json") for status in statuses])
    elif statuses:
        stdout.print(job_table(statuses))
    else:
        print_message("No jobs.")


@app.command()
def status(ctx: typer.Context, id: Id, *, as_json: Json = False) -> None:  # noqa: A002 - the name in the help
    """Show one job."""
    job: Job = ctx.obj.get(id)
    print_json(job.status.model_dump(mode="json")) if as_json else stdout.print(job_details(job.status))


@app.command()
def queue(
    ctx: typer.Context,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Update until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Show the queue, the running jobs and the workers. With --watch --json: print every change, one per line."""
    easel: Easel = ctx.obj
    if not watch:
        snapshot = easel.queue()
        print_json(snapshot.model_dump(mode="json")) if as_json else stdout.print(queue_tables(snapshot))
    elif as_json:
        for event in easel.queue_events():
            if event.kind == "queue":
                print_json_line(event.data.model_dump(mode="json"))
    else:
        watch_queue(easel.queue_events(), stdout)


@app.command()
def deliveries(ctx: typer.Context, id: Id, *, as_json: Json = False) -> None:  # noqa: A002 - the name in the help
    """List the attempts to deliver a job's webhooks."""
    job: Job = ctx.obj.get(id)
    attempts = job.deliveries()
    if as_json:
        print_json([attempt.model_dump(mode="json") for attempt in attempts])
    elif attempts:
        stdout.print(delivery_table(attempts))
    else:
        print_message("No webhook was sent yet." if job.status.webhook else "The job has no webhook.")


# Control.


@app.command()
def cancel(ctx: typer.Context, ids: Ids, *, as_json: Json = False) -> None:
    """Cancel jobs: only their previews and saved iterations are kept."""
    control_jobs(ctx.obj, lambda job: job.cancel(), ids, as_json=as_json)


@app.command()
def finish(ctx: typer.Context, ids: Ids, *, as_json: Json = False) -> None:
    """Finish jobs early: their current images become the results."""
    control_jobs(ctx.obj, lambda job: job.finish(), ids, as_json=as_json)
