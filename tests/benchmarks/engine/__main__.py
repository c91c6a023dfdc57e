"""Steps, speed-ups and a worker's long life: `python -m benchmarks.engine [--quick]`; ends with one JSON line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from benchmarks.engine.growth import resident_growth
from benchmarks.engine.memory import peak_memory_vs_tutorial
from benchmarks.engine.overhead import checkpoint_overhead
from benchmarks.engine.scene import Scene, best_weights
from benchmarks.engine.speedup import speedup
from benchmarks.engine.step import step_figures
from benchmarks.engine.warm import warm_start
from benchmarks.figure import Figure

console = Console(stderr=True)
_WIDTH = 512
_ROUNDS = {False: 15, True: 7}
Found = tuple[str, Figure | None]


def main(
    quick: Annotated[bool, typer.Option(help="Fewer rounds, and no speed-up at 512.")] = False,  # noqa: FBT002 - typer's own
    out: Annotated[Path, typer.Option(help="Where the tutorial's losses are remembered.")] = Path("out/bench"),
) -> None:
    """Compare the engine with what others run."""
    found = {}
    with console.status("steps at 512 px") as status:
        for name, one in _figures(out, status, quick=quick):
            found[name] = one and one.row()
            console.print(f"{name}: {found[name]}")  # at once: the rest takes minutes
    print(json.dumps(found))  # noqa: T201 - for scripts


def _figures(out: Path, status: Status, *, quick: bool) -> Iterator[Found]:
    weights, rounds = best_weights(), _ROUNDS[quick]
    yield from step_figures(Scene(_WIDTH, weights), rounds).items()
    for width in (256,) if quick else (256, 512):
        scene = Scene(width, weights)
        yield f"speedup_to_loss_{width}", speedup(scene, out, status.update, rounds=rounds, quick=quick)
    status.update("peak memory at 1024x768")
    yield "peak_memory_vs_tutorial", peak_memory_vs_tutorial(quick=quick)
    status.update("checkpoints, previews and progress")
    yield "checkpoint_overhead", checkpoint_overhead(quick=quick)
    status.update("a warm worker's first picture")
    warm = warm_start(quick=quick)
    console.print(f"Passes over a style that was seen in an earlier job: {warm.style_passes}")
    yield "warm_start_seconds", warm.seconds
    yield "resident_growth", resident_growth(quick=quick, tell=status.update)


if __name__ == "__main__":
    typer.run(main)
