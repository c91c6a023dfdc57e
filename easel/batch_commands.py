"""The commands `easel batch ...`: many photos, styles and recipes at once."""

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Final

import typer

from easel import Batch, Conflict, Easel, Job, JobState
from easel.terminal.batch_progress import describe_batch, watch_batch
from easel.terminal.command import INTERRUPTED, JOB_NOT_SUCCEEDED, Json, Overrides, Tier, build_recipe, split_pairs
from easel.terminal.files import write_output
from easel.terminal.output import print_json, print_message, printable, stderr, stdout

app = typer.Typer(help="Submit many jobs at once, and watch, fetch or cancel all of them.", no_args_is_help=True)

_IMAGES: Final = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif"}
_NOT_IN_NAMES: Final = re.compile(r"[^\w.-]+")
_ENDING: Final = re.compile(r"\.\w{1,4}$")  # of a file; a title such as "St. Ives" has none

BatchId = Annotated[str, typer.Argument(metavar="ID", help="The batch's ID.", show_default=False)]
Folder = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FOLDER",
        file_okay=False,
        help="Wait, and write all results and contact-sheet.png into this folder.",
    ),
]


@app.command()
def submit(
    ctx: typer.Context,
    photos: Annotated[
        list[Path],
        typer.Argument(metavar="PHOTO", exists=True, help="Photos, or folders of photos.", show_default=False),
    ],
    *,
    style: Annotated[
        list[Path], typer.Option(exists=True, help="A style image, or a folder of them; may be repeated.")
    ],
    recipe: Annotated[
        list[str] | None, typer.Option(help="The name of a preset, or a JSON file; may be repeated.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Longest side in pixels.")] = None,
    steps: Annotated[int | None, typer.Option(help="Evaluations of loss and gradient.")] = None,
    overrides: Overrides = None,
    tier: Tier = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A string that all jobs keep; may be repeated.")
    ] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Submit only once with this key.")] = None,
    output: Folder = None,
    wait: Annotated[bool, typer.Option("--wait", help="Watch the batch until all jobs have ended.")] = False,
    as_json: Json = False,
) -> None:
    """Render each PHOTO in each style with each recipe; print the batch's ID."""
    easel: Easel = ctx.obj
    names = recipe or ["default"]
    fields = [build_recipe(name, overrides or [], size=size, steps=steps) for name in names]
    _make_folder(output)
    jobs = [
        {"content": str(photo), "styles": [str(painting)], "recipe": values, "metadata": _names(photo, painting, name)}
        for photo, painting, (name, values) in product(
            _image_files(photos), _image_files(style), zip(names if len(names) > 1 else [""], fields, strict=True)
        )
    ]
    common = {"tier": tier} if tier else {}
    pairs = dict(split_pairs(metadata or [], "--metadata", "order=6735"))
    batch = easel.submit_batch(jobs, {**common, "metadata": pairs}, idempotency_key=idempotency_key)
    if not as_json:
        stdout.print(batch.id, markup=False)
    if wait or output:
        _watch(easel, batch, output, as_json=as_json)
        return
    if as_json:
        print_json(batch.status.model_dump(mode="json"))
    else:
        print_message(f"{len(jobs)} jobs. Watch them with: easel batch watch {batch.id}")


@app.command()
def status(ctx: typer.Context, id: BatchId, *, as_json: Json = False) -> None:  # noqa: A002 - the name in the help
    """Show a batch, and why jobs of it failed."""
    easel: Easel = ctx.obj
    batch = easel.get_batch(id)
    if as_json:
        print_json(batch.status.model_dump(mode="json"))
        return
    stdout.print(describe_batch(batch.status), markup=False)
    if batch.status.counts.failed:
        _print_failures([*easel.list(JobState.FAILED, batch=batch, page=200)][::-1])


@app.command()
def watch(
    ctx: typer.Context,
    id: BatchId,  # noqa: A002 - the name in the help
    *,
    output: Folder = None,
    as_json: Json = False,
) -> None:
    """Show a batch until all its jobs have ended. With -o: write its results, also of one that has ended."""
    _make_folder(output)
    _watch(ctx.obj, ctx.obj.get_batch(id), output, as_json=as_json)


@app.command()
def cancel(ctx: typer.Context, id: BatchId, *, as_json: Json = False) -> None:  # noqa: A002 - the name in the help
    """Cancel all jobs of a batch that have not ended."""
    batch: Batch = ctx.obj.get_batch(id)
    canceled = batch.cancel()
    print_json(canceled.model_dump(mode="json")) if as_json else print_message(describe_batch(canceled))


@app.command()
def delete(ctx: typer.Context, id: BatchId, *, as_json: Json = False) -> None:  # noqa: A002 - the name in the help
    """Delete a batch whose jobs have all ended, with its jobs and their images."""
    ctx.obj.get_batch(id).delete()
    print_json({"id": id, "deleted": True}) if as_json else print_message(f"Deleted {id}.")


def _watch(easel: Easel, batch: Batch, output: Path | None, *, as_json: bool) -> None:
    try:
        watch_batch(batch, stderr)
    except KeyboardInterrupt:
        print_message(f"The jobs keep running. Watch them again with: easel batch watch {batch.id}")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(batch.status.model_dump(mode="json"))
    jobs = [*easel.list(batch=batch, page=200)][::-1]
    _print_failures(jobs)
    if output:
        _write_results(batch, jobs, output)
    elif any(job.state == JobState.SUCCEEDED for job in jobs):
        print_message(f"Fetch the results with: easel batch watch {batch.id} -o FOLDER")
    if batch.status.counts.succeeded < len(batch.status.jobs):
        raise typer.Exit(JOB_NOT_SUCCEEDED)


def _print_failures(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.error:
            names = ", ".join(_names_of(job))
            name = f"{names} ({job.id})" if names else job.id
            print_message(f"{name} failed: {job.error.detail} ({job.error.code})")


def _write_results(batch: Batch, jobs: Sequence[Job], folder: Path) -> None:
    digits = len(str(len(jobs)))
    for number, job in enumerate(jobs, start=1):
        if job.state == JobState.SUCCEEDED:
            write_output(folder / f"{number:0{digits}}{_label(job)}.png", job.result())
    if batch.status.urls.get("contact_sheet"):
        try:
            write_output(folder / "contact-sheet.png", batch.contact_sheet())
        except Conflict as conflict:
            if conflict.code != "contact_sheet_failed":
                raise
            print_message(conflict.detail)


def _names(photo: Path, painting: Path, recipe: str) -> dict[str, str]:
    """Return the names for the contact sheet and for files: metadata of at most 500 characters."""
    names = {"photo": photo.name, "style": painting.name, "recipe": Path(recipe).name}
    return {key: printable(name)[:500] for key, name in names.items() if name}


def _names_of(job: Job) -> list[str]:
    """Return the names of photo, style and recipe of a job that `submit` submitted, else its title if it has one."""
    names = (job.status.metadata.get(key) for key in ("photo", "style", "recipe"))
    return [*filter(None, names)] or [*filter(None, [job.status.metadata.get("title")])]


def _label(job: Job) -> str:
    """Return -photo-style-recipe or -title for the name of a file. Of the service's text, no path."""
    return "".join(f"-{_NOT_IN_NAMES.sub('_', _ENDING.sub('', name))[:60]}" for name in _names_of(job))


def _image_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files, and those in folders by name. Raises typer.BadParameter for a folder without images."""
    files = list[Path]()
    for path in paths:
        found = sorted(one for one in path.iterdir() if one.suffix.lower() in _IMAGES) if path.is_dir() else [path]
        if not found:
            raise typer.BadParameter(f"The folder {printable(str(path))} has no images.")
        files += found
    return files


def _make_folder(folder: Path | None) -> None:
    """Create the folder for the results. Raises typer.BadParameter, before any work, if that fails."""
    if folder:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = f"The folder {printable(str(folder))} cannot be created: {error.strerror}."
            raise typer.BadParameter(problem, param_hint="--output") from error
