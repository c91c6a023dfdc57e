"""`python -m benchmarks.gpu [--quick] [--only NAMES] [--variants NAMES] [--widths PIXELS]`; ends with one JSON line.

Needs PYTHONPATH=tests. A run on a current data center GPU is expected to take 8 minutes. Without a GPU the measurements
run on the CPU; this only tests that they work, so choose small widths.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks.engine.workload import Workload, best_weights
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
from benchmarks.measurement_runner import MeasurementRunner
from worker.devices.device import environment

console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)

_WIDTHS: Final = "512,1024,2048"
_MAX_DETAILED_WIDTH: Final = 1024  # pixels; at larger widths only whole steps, jobs and memory are measured


def main(
    *,
    quick: Annotated[bool, typer.Option(help="Fewer rounds, fewer sizes.")] = False,
    only: Annotated[str, typer.Option(help="Rows or prefixes of rows, such as step_adam,variants_512.")] = "",
    variants: Annotated[str, typer.Option(help="Variants of an evaluation to measure.")] = ",".join(VARIANTS),
    widths: Annotated[str, typer.Option(help="In pixels; each height is three quarters of the width.")] = _WIDTHS,
    out: Annotated[Path, typer.Option(help="The file that the JSON line is written to.")] = Path("out/gpu.json"),
) -> None:
    """Measure the engine and its baselines on a GPU."""
    runner, results = MeasurementRunner(console), Results(environment(), quick=quick)
    console.print(results.title)
    names, rounds = list(_supported(variants, on_gpu=results.on_gpu)), QUICK if quick else FULL
    workloads = [Workload(width, weights) for weights in [best_weights()] for width in map(int, widths.split(","))]
    out.parent.mkdir(parents=True, exist_ok=True)
    with console.status("starting") as status:
        for name, measure in _measurements(workloads, names, rounds, runner, results, quick=quick):
            if not only or any(name.startswith(prefix) for prefix in only.split(",")):
                status.update(name)
                runner(name, measure)
                out.write_text(results.line() + "\n")  # each time, because the time on a GPU may run out
    console.print(rows_table(results.rows, results.title, rated=results.on_gpu))
    console.print(variants_table(results.variants, "Variants of an evaluation"))
    print(results.line())  # noqa: T201 - for scripts
    raise typer.Exit(runner.failed)


def _measurements(
    workloads: list[Workload],
    names: list[str],
    rounds: Rounds,
    runner: MeasurementRunner,
    results: Results,
    *,
    quick: bool,
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield names and measurements, the most important ones first."""
    detailed = [workload for workload in workloads if workload.width <= _MAX_DETAILED_WIDTH]
    rows = dict[str, Callable[[], Rows]]()
    for workload in workloads:
        device = "cuda" if results.on_gpu else "cpu"
        yield (
            f"step_adam_{workload.width}",
            partial(results.add, partial(step_adam, workload, rounds, _report, device=device)),
        )
    for workload in detailed:
        variants = partial(measure_variants, workload, names, rounds, runner)
        yield f"variants_{workload.width}", partial(results.add_variants, workload.width, variants)
    for workload in detailed:
        rows[f"lbfgs_update_{workload.width}"] = partial(lbfgs_update, workload, rounds)
        rows[f"stage_start_{workload.width}"] = partial(stage_start, workload, 2 if quick else 4)
    for workload in workloads:
        rows[f"default_{workload.width}"] = partial(default_job, workload, 1 if quick else 2)
    for workload in workloads:
        rows[f"memory_{workload.width}"] = partial(memory_and_bytes, workload)
    for name, measure in rows.items():
        yield name, partial(results.add, measure)


def _supported(names: str, *, on_gpu: bool) -> Iterator[str]:
    """Yield the variants that can run on this machine. Raises BadParameter for an unknown name."""
    for name in names.split(","):
        if name not in VARIANTS:
            raise typer.BadParameter(f"There is no variant {name}; choose from {', '.join(VARIANTS)}.")
        if on_gpu or not VARIANTS[name].needs_gpu:
            yield name
        else:
            _report(f"{name}: not measured, it needs a GPU")


def _report(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
