"""The files that commands read and write; - is standard input or output."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import typer

from easel import Job, JobState
from easel.models import ImageFormat
from easel.terminal.output import print_message, printable

_FORMATS: Final[dict[str, ImageFormat]] = {
    "": "png",
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}


def read_images(paths: Sequence[Path]) -> list[Path | bytes]:
    """Return the paths, and the content of standard input for -. Raises typer.BadParameter if it is there twice."""
    if sum(map(is_standard, paths)) > 1:
        raise typer.BadParameter("Standard input has one image: give - once.", param_hint="CONTENT STYLE...")
    return [sys.stdin.buffer.read() if is_standard(path) else path for path in paths]


def check_input(value: Path | list[Path]) -> Path | list[Path]:
    """Return the path or paths of an argument. Raises typer.BadParameter for one that is neither - nor a file."""
    for path in value if isinstance(value, list) else [value]:  # typer's own check does not allow -
        if not is_standard(path) and not path.exists():
            raise typer.BadParameter(f"File {printable(str(path))!r} does not exist.")
    return value


def check_output(path: Path, *, with_json: bool = False) -> None:
    """Raise typer.BadParameter, before any work, if an image, or an image and JSON, cannot be written there."""
    if is_standard(path):
        if with_json:
            raise typer.BadParameter("Standard output takes the image alone, without JSON.", param_hint="--output")
        return
    image_format(path)
    if problem := _output_problem(path):
        raise typer.BadParameter(problem, param_hint="--output")


def _output_problem(path: Path) -> str:
    """Return why a file cannot be written, as a sentence; empty if it can."""
    name, folder = printable(str(path)), printable(str(path.parent))
    if not path.parent.is_dir():
        return f"There is no folder {folder}."
    if path.is_dir():
        return f"{name} is a folder; name a file."
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return f"You may not write to {name if path.exists() else folder}."
    return ""


def image_format(path: Path) -> ImageFormat:
    """Return the format that a file's name asks for; PNG without an ending. Raises typer.BadParameter for others."""
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError as error:
        ending = printable(path.suffix)
        message = f"Files that end with {ending} cannot be written. Choose{', '.join(_FORMATS)[1:]}."
        raise typer.BadParameter(message, param_hint="--output") from error


def iteration_path(output: Path, step: int) -> Path:
    """Return the file of a saved iteration beside the output, such as result-0030.png."""
    return output.with_name(f"{output.stem}-{step:04d}.png")


def write_images(job: Job, output: Path) -> bool:
    """Write what an ended job has: saved iterations, and the result if it succeeded. Return whether it did."""
    if job.status.urls.get("iterations") and not is_standard(output):
        write_iterations(job, output)
    succeeded = job.state == JobState.SUCCEEDED
    if succeeded:
        write_output(output, job.result(image_format(output)))
    return succeeded


def write_iterations(job: Job, output: Path) -> int:
    """Write the saved iterations of a job beside the output, and return their number."""
    saved = job.iterations()
    for iteration in saved:
        write_output(iteration_path(output, iteration.step), job.iteration(iteration.step))
    return len(saved)


def is_standard(path: Path | None) -> bool:
    """Return whether the path is -."""
    return str(path) == "-"


def write_output(path: Path, content: bytes) -> None:
    """Write to a file, or to standard output if the path is -. Exits with 2 if that fails."""
    if is_standard(path):
        sys.stdout.buffer.write(content)
        return
    try:
        path.write_bytes(content)
    except OSError as error:
        print_message(f"Error: {path} cannot be written: {error.strerror}.")
        raise typer.Exit(2) from error
    print_message(f"Wrote {path}")
