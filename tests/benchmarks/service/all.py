"""All measurements of the service, one after the other."""

from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.attempts import Attempts
from benchmarks.figure import Figure
from benchmarks.service import estimates, lists, polls, scaling, submits, watchers
from benchmarks.service.finding import Chart, table
from benchmarks.service.plots import draw

_QUICK_PARTS: Final = (polls, watchers, lists, submits, scaling)


def measure(attempts: Attempts, *, quick: bool, out: Path, console: Console) -> dict[str, Figure]:
    """The figures by their keys; charts go to `out` as pictures, and all of it to the console as a table."""
    figures: dict[str, Figure] = {}
    charts: list[Chart] = []
    with console.status("the service") as status:
        for part in _QUICK_PARTS if quick else (*_QUICK_PARTS, estimates):
            if found := attempts(part.__name__, partial(part.measure, status.update, quick=quick)):
                figures |= found.figures
                charts += found.charts
    console.print(table(charts))
    for chart in charts:
        console.print(f"Drew {draw(chart, out)}", highlight=False, soft_wrap=True)
    return figures
