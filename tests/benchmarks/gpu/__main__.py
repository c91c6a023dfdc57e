"""`python -m benchmarks.gpu [--quick] [--only NAMES] [--variants NAMES] [--widths PIXELS]`; ends with one JSON line.

Needs PYTHONPATH=tests. A run on a current data centre GPU is expected to take 8 minutes. Without a GPU the measurements
run on the processor; that only shows that they work, so choose small widths.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks.attempts import Attempts
from benchmarks.engine.scene import Scene, best_weights
from benchmarks.gpu.default_job import default_job
from benchmarks.gpu.lbfgs_update import lbfgs_update
from benchmarks.gpu.report import Rows, rows_table, variants_table
from benchmarks.gpu.results import Results
from benchmarks.gpu.rounds import FULL, QUICK, Rounds
from benchmarks.gpu.short_run import memory_and_bytes
from benchmarks.gpu.stage_start import stage_start
from benchmarks.gpu.step_adam import step_adam
from benchmarks.gpu.variant import VARIANTS
from benchmarks.gpu.variants import measure_variants
from worker.devices.device import environment

console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)

_WIDTHS: Final = "512,1024,2048"
_LARGEST_OF_FEW: Final = 1024  # pixels: at larger widths only whole steps, jobs and memory are measured


def main(
    *,
    quick: Annotated[bool, typer.Option(help="Fewer rounds, fewer sizes.")] = False,
    only: Annotated[str, typer.Option(help="Rows or groups of rows to measure, such as step_adam,variants_512.")] = "",
    variants: Annotated[str, typer.Option(help="Variants of an evaluation to measure.")] = ",".join(VARIANTS),
    widths: Annotated[str, typer.Option(help="In pixels; each height is three quarters of the width.")] = _WIDTHS,
    out: Annotated[Path, typer.Option(help="File to which the JSON line is written, too.")] = Path("out/gpu.json"),
) -> None:
    """Measure the engine on a GPU, beside what people would run there instead."""
    attempts, results = Attempts(console), Results(environment(), quick=quick)
    console.print(results.title)
    names, rounds = list(_supported(variants, on_gpu=results.on_gpu)), QUICK if quick else FULL
    scenes = [Scene(width, weights) for weights in [best_weights()] for width in map(int, widths.split(","))]
    out.parent.mkdir(parents=True, exist_ok=True)
    with console.status("starting") as status:
        for name, measure in _parts(scenes, names, rounds, attempts, results, quick=quick):
            if not only or any(name.startswith(chosen) for chosen in only.split(",")):
                status.update(name)
                attempts(name, measure)
                out.write_text(results.line() + "\n")  # after each part, because the time on a GPU may run out
    console.print(rows_table(results.rows, results.title, judged=results.on_gpu))
    console.print(variants_table(results.variants, "An evaluation, by variants"))
    print(results.line())  # noqa: T201 - for scripts
    raise typer.Exit(attempts.failed)


def _parts(
    scenes: list[Scene], names: list[str], rounds: Rounds, attempts: Attempts, results: Results, *, quick: bool
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Names and measurements, the most important ones first."""
    few = [scene for scene in scenes if scene.width <= _LARGEST_OF_FEW]
    rows = dict[str, Callable[[], Rows]]()
    for scene in scenes:
        device = "cuda" if results.on_gpu else "cpu"
        yield f"step_adam_{scene.width}", partial(results.add, partial(step_adam, scene, rounds, _note, device=device))
    for scene in few:
        variants = partial(measure_variants, scene, names, rounds, attempts)
        yield f"variants_{scene.width}", partial(results.add_variants, scene.width, variants)
    for scene in few:
        rows[f"lbfgs_update_{scene.width}"] = partial(lbfgs_update, scene, rounds)
        rows[f"stage_start_{scene.width}"] = partial(stage_start, scene, 2 if quick else 4)
    for scene in scenes:
        rows[f"default_{scene.width}"] = partial(default_job, scene, 1 if quick else 2)
    for scene in scenes:
        rows[f"memory_{scene.width}"] = partial(memory_and_bytes, scene)
    for name, measure in rows.items():
        yield name, partial(results.add, measure)


def _supported(names: str, *, on_gpu: bool) -> Iterator[str]:
    """The variants that can run here. Raises BadParameter for an unknown name."""
    for name in names.split(","):
        if name not in VARIANTS:
            raise typer.BadParameter(f"There is no variant {name}; there are {', '.join(VARIANTS)}.")
        if on_gpu or not VARIANTS[name].needs_gpu:
            yield name
        else:
            _note(f"{name}: not measured, it needs a GPU")


def _note(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
