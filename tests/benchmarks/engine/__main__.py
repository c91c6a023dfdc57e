"""`python -m benchmarks.engine [--quick]` compares the engine with its baselines; ends with one JSON line."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.engine.growth import resident_growth
from benchmarks.engine.memory import peak_memory_vs_tutorial
from benchmarks.engine.overhead import checkpoint_overhead
from benchmarks.engine.speedup import Report, speedup
from benchmarks.engine.step import step_vs_arithmetic, step_vs_reference, step_vs_torch, step_vs_tutorial
from benchmarks.engine.warm_worker_latency import warm_worker_latency
from benchmarks.engine.workload import Workload, best_weights
from benchmarks.figure import Figure
from benchmarks.measurement_runner import MeasurementRunner

console = Console(stderr=True)
_WIDTHS = (256, 512, 1024)
_ROUNDS = {False: 15, True: 5}
_SLOW = {"speedup_to_loss_512", "checkpoint_overhead", "resident_growth"}
Measure = Callable[[], Figure]


def main(
    quick: Annotated[bool, typer.Option(help="Fewer rounds; nothing that takes minutes for one reading.")] = False,  # noqa: FBT002 - typer's own
    out: Annotated[Path, typer.Option(help="Where the tutorial's losses are cached.")] = Path("out/bench"),
) -> None:
    """Compare the engine with its baselines."""
    runner, rows = MeasurementRunner(console), {}
    with console.status("starting") as status:
        for name, measure in _figures(out, status.update, console.print, quick=quick).items():
            status.update(name)
            figure = runner(name, measure)
            rows[name] = figure and figure.row()
    print(json.dumps(rows))  # noqa: T201 - for scripts
    raise typer.Exit(runner.failed)


def _figures(out: Path, show_progress: Report, report: Report, *, quick: bool) -> dict[str, Measure]:
    weights, rounds = best_weights(), _ROUNDS[quick]
    small, medium, large = (Workload(width, weights) for width in _WIDTHS)
    measures: dict[str, Measure] = {
        "step_vs_tutorial": partial(step_vs_tutorial, medium, rounds),
        "step_vs_reference": partial(step_vs_reference, medium, rounds),
        "step_vs_torch": partial(step_vs_torch, medium, rounds),
        "step_vs_arithmetic": partial(step_vs_arithmetic, medium, rounds),
        "speedup_to_loss_256": partial(speedup, small, out, show_progress, report, rounds=rounds, quick=quick),
        "speedup_to_loss_512": partial(speedup, medium, out, show_progress, report, rounds=rounds, quick=quick),
        "peak_memory_vs_tutorial": partial(peak_memory_vs_tutorial, large, 1 if quick else 3),
        "checkpoint_overhead": checkpoint_overhead,
        "warm_worker_latency_seconds": partial(warm_worker_latency, quick=quick),
        "resident_growth": partial(resident_growth, show_progress),
    }
    return {name: measure for name, measure in measures.items() if not (quick and name in _SLOW)}


if __name__ == "__main__":
    typer.run(main)
