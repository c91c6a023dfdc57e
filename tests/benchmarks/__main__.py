"""`make bench`: run each part in a separate process, print a table and a JSON line."""

import json
import operator
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from worker.devices.device import environment

console = Console(stderr=True)

PARTS: Final = ("benchmarks.engine", "benchmarks.service")


def within(value: float, bounds: tuple[float, float]) -> bool:
    """Return whether the value is inside the bounds, ends included."""
    return bounds[0] <= value <= bounds[1]


TARGETS: Final[dict[str, tuple[Callable[[Any, Any], bool], Any]]] = {
    "step_vs_tutorial": (operator.le, 0.55),
    "step_vs_reference": (operator.le, 0.9),
    "step_vs_torch": (operator.le, 0.72),
    "step_vs_arithmetic": (operator.le, 0.95),
    "speedup_to_loss_256": (operator.ge, 6),
    "speedup_to_loss_512": (operator.ge, 6),
    "checkpoint_overhead": (operator.le, 1.02),
    "peak_memory_vs_tutorial": (operator.le, 0.6),
    "resident_growth": (operator.le, 1.05),
    "warm_worker_latency_seconds": (operator.le, 0.3),
    "poll_vs_flask": (operator.ge, 0.6),
    "scaling_8": (operator.ge, 0.95),
    "scaling_64": (operator.ge, 0.95),
    "eta_p90_coverage": (within, (0.85, 0.95)),
    "eta_p50_coverage": (within, (0.4, 0.6)),
    "eta_p50_error": (operator.le, 0.2),
}
"""The target of each median."""
_SIGNS: Final = {operator.le: "at most", operator.ge: "at least", within: "in"}


def main(
    quick: Annotated[bool, typer.Option(help="Fewer rounds, and no figures that take minutes.")] = False,  # noqa: FBT002 - typer's own
    out: Annotated[Path, typer.Option(help="File for the JSON line that is also printed.")] = Path("out/bench.json"),
) -> None:
    """Measure all figures that have a target, each next to what it is compared with."""
    figures, failed = dict[str, Any](), False
    for part in PARTS:
        command = [sys.executable, "-m", part, *(["--quick"] if quick else [])]
        ran = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        figures |= json.loads((ran.stdout.splitlines() or ["{}"])[-1])
        failed |= ran.returncode != 0
    line = json.dumps({name: figures.get(name) for name in TARGETS} | {"machine": _machine()})
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(line + "\n")
    console.print(_table(figures, "left out" if quick else "not measured"))
    print(line)  # noqa: T201 - for scripts
    raise typer.Exit(failed)


def _table(figures: dict[str, Any], missing: str) -> Table:
    table = Table("figure", "median", "lowest", "highest", "target", title=_machine())
    for name, (holds, bound) in TARGETS.items():
        if one := figures.get(name):
            color = "green" if holds(one["median"], bound) else "red"
            values = (f"[{color}]{one['median']}[/{color}]", str(one["low"]), str(one["high"]))
            table.add_row(name, *values, f"{_SIGNS[holds]} {bound}")
        else:
            table.add_row(name, missing, "", "", "")
    return table


def _machine() -> str:
    about = environment()
    devices = ", ".join(about["gpus"]) or f"{about['threads']} cores"
    return f"{about['processor']}, {devices}, TensorFlow {about['tensorflow']}"


if __name__ == "__main__":
    typer.run(main)
