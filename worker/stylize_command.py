"""The engine alone, no server: what `easel-worker stylize` does."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from shared.images import decode, encode_png, to_array
from shared.recipe import Recipe, suited_to
from worker.engine import Iterate, stylize
from worker.engine.cache import PathName
from worker.engine.weights.sources import Weights

Show = Callable[[Iterate, float], None]
"""Told an iterate and the seconds since the start."""

_MAX_PIXELS = 200_000_000  # a person's own files on their own machine


def run(
    content: Path,
    styles: Sequence[Path],
    recipe: Recipe,
    weights: Weights,
    out: Path,
    *,
    path: PathName = "auto",
    trace: Path | None = None,
    console: Console | None = None,
) -> Iterate:
    """Stylise the files, write the PNG to `out`, and return the last Iterate. A progress bar goes to `console`.

    `trace` gets one JSON line a step. Interrupted from the keyboard, the picture so far is written before
    KeyboardInterrupt goes on. Raises what `decode` and `stylize` raise, and OSError for files that cannot be
    read or written.
    """
    arrays = [to_array(decode(file.read_bytes(), max_pixels=_MAX_PIXELS)) for file in (content, *styles)]
    recipe = suited_to(recipe, weights.source)
    out.parent.mkdir(parents=True, exist_ok=True)
    last: Iterate | None = None
    try:
        with _lines(trace) as write, _bar(recipe, console or Console(stderr=True)) as show:
            started = time.perf_counter()
            for last in stylize(arrays[0], arrays[1:], recipe, weights=weights, path=path):
                seconds = time.perf_counter() - started
                write(last, seconds)
                show(last, seconds)
    finally:
        if last:
            out.write_bytes(encode_png(last.image))
    if last is None:  # the type checker cannot know that step 0 always comes
        msg = "stylize yielded nothing"
        raise AssertionError(msg)
    return last


@contextmanager
def _bar(recipe: Recipe, console: Console) -> Iterator[Show]:
    columns = (
        TextColumn("{task.description:>8}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("step {task.fields[step]}/{task.fields[steps]}  loss {task.fields[loss]}  {task.fields[rate]}  ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("preparing", total=1.0, step=0, steps=recipe.steps, loss="-", rate="")

        def show(iterate: Iterate, seconds: float) -> None:
            progress.update(
                bar,
                description=iterate.phase,
                completed=iterate.fraction,
                step=iterate.step,
                loss=f"{iterate.losses.total:.4g}",
                rate=f"{(iterate.step + 1) / seconds:.2f} steps/s",
            )

        yield show


@contextmanager
def _lines(trace: Path | None) -> Iterator[Show]:
    """Writes one JSON line an iterate to `trace`, at once, so that it can be followed."""
    if trace is None:
        yield lambda _iterate, _seconds: None
        return
    with trace.open("w", encoding="utf-8", buffering=1) as file:

        def write(iterate: Iterate, seconds: float) -> None:
            measured = iterate.losses.model_dump() | {"gradient_norm": iterate.gradient_norm}
            file.write(json.dumps({"step": iterate.step, **measured, "seconds": round(seconds, 4)}) + "\n")

        yield write
