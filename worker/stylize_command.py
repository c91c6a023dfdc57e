"""The command `easel-worker stylize`: the engine alone, without a server."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from easel.terminal.files import image_format, is_standard, iteration_path
from shared.errors import EaselError
from shared.imaging import result_formats
from shared.imaging.deep_color import DecodedImage, decode
from shared.imaging.display_p3 import convert
from shared.imaging.transparency import encode_rendered_png, fill_transparent, separate_alpha, used_share
from shared.inputs.input_images import check_used_share
from shared.presets import adapted_to_weights
from shared.recipe import Recipe
from worker.engine import Iterate, stylize
from worker.engine.cache import PathName
from worker.engine.weights.sources import Weights

Report = Callable[[Iterate, float], None]
"""Called with an iterate and the seconds since the start."""

_QUALITY = 90  # of a JPEG or WebP, as the service's default
_ETA_SECONDS = 3600  # the time left follows from the speed of these last ones; a step of a large image takes minutes
_MAX_PIXELS = 200_000_000  # a person's own files on their own machine


def run(
    content: Path,
    styles: Sequence[Path],
    recipe: Recipe,
    weights: Weights | None,
    output: Path,
    *,
    path: PathName = "auto",
    trace: Path | None = None,
    console: Console | None = None,
) -> Iterate:
    """Render the files, write the image to `output`, and return the last Iterate. A progress bar goes to `console`.

    The ending of `output` decides the format. The path - is standard input or output.

    `weights` may be None for a recipe without evaluations. `trace` gets one JSON line per step. Iterations that the
    recipe saves are written beside the output, which is a file then. On KeyboardInterrupt the image so far is written
    before it is raised. Raises the errors of `decode` and `stylize`, InvalidMask if hardly anything of a style
    is used, and OSError for files that cannot be read or written.
    """
    decoded = _decode(content)
    recipe = recipe.in_space(decoded.color_space)
    photo, alpha = separate_alpha(convert(*decoded, recipe.rendered_space))
    images = [_decode_style(file, recipe) for file in styles]
    recipe = adapted_to_weights(recipe, weights.source) if weights else recipe
    last: Iterate | None = None
    try:
        with _trace_writer(trace) as write, _progress_bar(recipe, console or Console(stderr=True)) as show:
            started = time.perf_counter()
            for last in stylize(photo, images, recipe, weights=weights, path=path):
                seconds = time.perf_counter() - started
                if recipe.saves(last.step):
                    png = encode_rendered_png(last.image, alpha, recipe)
                    iteration_path(output, last.step).write_bytes(png)
                write(last, seconds)
                show(last, seconds)
    finally:
        if last:
            _write(output, encode_rendered_png(last.image, alpha, recipe))
    if last is None:  # for the type checker: step 0 always comes
        msg = "stylize yielded nothing"
        raise AssertionError(msg)
    return last


def _decode(file: Path) -> DecodedImage:
    """Return the pixels of a file. Raises the errors of `decode`, which name the file, and OSError."""
    data = sys.stdin.buffer.read() if is_standard(file) else file.read_bytes()
    with _named(file):
        return decode(data, max_pixels=_MAX_PIXELS, background=None)


def _decode_style(file: Path, recipe: Recipe) -> NDArray[Any]:
    """Return the pixels of a style as a worker uses them. Raises like `_decode`, and InvalidMask, as the API."""
    pixels = convert(*_decode(file), recipe.rendered_space)
    with _named(file):
        check_used_share(used_share(pixels))
    return fill_transparent(pixels)


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Name the file in errors about its image."""
    try:
        yield
    except EaselError as error:
        raise type(error)(f"{'Standard input' if is_standard(file) else file}: {error.detail}") from error


def _write(output: Path, png: bytes) -> None:
    file_format = "png" if is_standard(output) else image_format(output)
    file = png if file_format == "png" else result_formats.convert(png, file_format, _QUALITY)
    if is_standard(output):
        sys.stdout.buffer.write(file)
    else:
        output.write_bytes(file)


@contextmanager
def _progress_bar(recipe: Recipe, console: Console) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description:>8}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("step {task.fields[step]}/{task.fields[steps]}  loss {task.fields[loss]}  {task.fields[rate]}  ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, speed_estimate_period=_ETA_SECONDS) as progress:
        bar = progress.add_task("preparing", total=1.0, step=0, steps=recipe.total_steps, loss="-", rate="")

        def show(iterate: Iterate, seconds: float) -> None:
            progress.update(
                bar,
                description=iterate.phase,
                completed=iterate.fraction,
                step=iterate.step,
                loss=f"{iterate.losses.total:.4g}" if iterate.losses else "-",
                rate=f"{(iterate.step + 1) / seconds:.2f} steps/s",
            )

        yield show


@contextmanager
def _trace_writer(trace: Path | None) -> Iterator[Report]:
    """Write one JSON line per iterate to `trace`, unbuffered, so that it can be followed."""
    if trace is None:
        yield lambda _iterate, _seconds: None
        return
    with trace.open("w", encoding="utf-8", buffering=1) as file:

        def write(iterate: Iterate, seconds: float) -> None:
            measured = {
                **(iterate.losses.model_dump() if iterate.losses else {}),
                "gradient_norm": iterate.gradient_norm,
            }
            file.write(json.dumps({"step": iterate.step, **measured, "seconds": round(seconds, 4)}) + "\n")

        yield write
