"""Runs all benchmarks of the service."""

from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.figure import Figure
from benchmarks.measurement_runner import MeasurementRunner
from benchmarks.service import estimates, lists, polls, scaling, submits, watchers
from benchmarks.service.plots import draw
from benchmarks.service.results import Chart, table

_QUICK_PARTS: Final = (polls, watchers, lists, submits, scaling)


def measure(runner: MeasurementRunner, *, quick: bool, out: Path, console: Console) -> dict[str, Figure]:
    """Return the figures by name; write the charts to the folder `out`, and print them as a table."""
    figures: dict[str, Figure] = {}
    charts: list[Chart] = []
    with console.status("the service") as status:
        for part in _QUICK_PARTS if quick else (*_QUICK_PARTS, estimates):
            if measurement := runner(part.__name__, partial(part.measure, status.update, quick=quick)):
                figures |= measurement.figures
                charts += measurement.charts
    console.print(table(charts))
    for chart in charts:
        console.print(f"Wrote {draw(chart, out)}", highlight=False, soft_wrap=True)
    return figures
