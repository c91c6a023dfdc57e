"""The commands of `easel` that fetch a job's files or delete them."""

import json
from pathlib import Path
from typing import Annotated

import typer

from easel import Job
from easel.models import ImageFormat
from easel.terminal.command import (
    Id,
    Json,
    Output,
)
from easel.terminal.files import check_output, image_format, is_standard, write_iterations, write_output
from easel.terminal.output import print_json, print_message, stdout

app = typer.Typer()


@app.command()
def result(
    ctx: typer.Context,
    id: Id,  # noqa: A002 - the name in the help
    *,
    output: Output,
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Also write its provenance, to the same name with .json.")
    ] = False,
    metadata: Annotated[
        bool, typer.Option("--metadata/--no-metadata", help="Have the file say how it was made.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Fetch a result. With --json: also print its provenance."""
    check_output(output, with_json=provenance or as_json)
    job: Job = ctx.obj.get(id)
    image = job.result(image_format(output), metadata=metadata)
    origin = job.provenance() if provenance or as_json else {}
    write_output(output, image)
    if provenance:
        write_output(output.with_suffix(".json"), json.dumps(origin, indent=2).encode() + b"\n")
    if as_json:
        print_json(origin)


@app.command()
def iterations(
    ctx: typer.Context,
    id: Id,  # noqa: A002 - the name in the help
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="NAME.png: the files are NAME-0030.png and so on.")],
) -> None:
    """Fetch the images that a job saved while it ran: see --save-every of submit."""
    check_output(output, with_json=False)
    if is_standard(output):
        raise typer.BadParameter("Standard output takes one image; name a file.", param_hint="--output")
    if not write_iterations(ctx.obj.get(id), output):
        print_message("No iteration is saved. Submit with --save-every N.")


@app.command()
def timelapse(ctx: typer.Context, id: Id, *, output: Output) -> None:  # noqa: A002 - the name in the help
    """Fetch the previews of a job as an animated WebP."""
    check_output(output, with_json=False)
    write_output(output, ctx.obj.get(id).timelapse())


@app.command()
def share(
    ctx: typer.Context,
    id: Id,  # noqa: A002 - the name in the help
    *,
    expires_in: Annotated[
        int, typer.Option(metavar="SECONDS", help="Until the link expires: 60 to 604800, a week.")
    ] = 86_400,
    format: Annotated[ImageFormat, typer.Option(help="The file format.")] = "png",  # noqa: A002 - as in the API
    as_json: Json = False,
) -> None:
    """Print a link to a result that needs no key. Anyone who has it can see the picture until it expires."""
    link = ctx.obj.get(id).share(expires_in=expires_in, format=format)
    print_json(link.model_dump(mode="json")) if as_json else stdout.print(link.url, soft_wrap=True)


@app.command()
def delete(ctx: typer.Context, id: Id, *, as_json: Json = False) -> None:  # noqa: A002 - the name in the help
    """Delete a job that has ended, with its images."""
    ctx.obj.get(id).delete()
    print_json({"id": id, "deleted": True}) if as_json else print_message(f"Deleted {id}.")
