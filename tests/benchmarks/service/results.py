"""The result of a benchmark of the service, and the table that shows the charts of all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table

from benchmarks.figure import Figure

Report = Callable[[str], None]
"""Shows what is being measured now."""

Curve = Mapping[int, float]
"""Cost by amount of work."""


@dataclass(frozen=True)
class Chart:
    """Costs for increasing amounts of work, typically tenfold each time."""

    name: str  # part of the file name
    title: str
    work: str  # unit of the amounts
    unit: str  # of the costs
    curves: Mapping[str, Curve]
    log_scale: bool = True  # for costs that differ by orders of magnitude
    target: str = ""  # in words
    bound: Curve = field(default_factory=dict)  # the target at each amount


@dataclass(frozen=True)
class Measurement:
    """Figures by name, and charts."""

    figures: Mapping[str, Figure]
    charts: Sequence[Chart]

    def __str__(self) -> str:
        """Return the figures in one line."""
        return ", ".join(f"{name} {figure}" for name, figure in self.figures.items()) or "see the charts"


def table(charts: Sequence[Chart]) -> Table:
    """Return a table with the amounts of work of each chart in one row, then one row for each curve's costs."""
    result = Table(title="What the service costs as the work grows", show_header=False)
    for chart in charts:
        amounts = [f"[bold]{amount:,}[/]" for amount in next(iter(chart.curves.values()))]
        result.add_row(f"[bold]{chart.title}[/]", *amounts, f"[bold]{chart.work}[/]")
        for name, curve in chart.curves.items():
            result.add_row(f"{name}, {chart.unit}", *map(_three_digits, curve.values()), chart.target)
        result.add_section()
    return result


def _three_digits(cost: float) -> str:
    """Format with three digits, and never as 1e+03."""
    return f"{cost:,.3g}" if cost < 1000 else f"{cost:,.0f}"
