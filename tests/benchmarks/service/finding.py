"""What each measurement hands back, and how people see it: one table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table

from benchmarks.figure import Figure

Say = Callable[[str], None]
"""Tells whoever waits what is being done."""

Curve = Mapping[int, float]
"""Amount of work to cost."""


@dataclass(frozen=True)
class Chart:
    """Costs as the work grows tenfold and tenfold again."""

    name: str  # of its file
    title: str
    work: str  # what the amounts count
    unit: str  # of the costs
    curves: Mapping[str, Curve]
    steep: bool = True  # whether costs differ by orders of magnitude, and so are drawn by their logarithms
    target: str = ""  # in words
    bound: Curve = field(default_factory=dict)  # what the target means at each amount


@dataclass(frozen=True)
class Finding:
    """Figures by their keys, and charts."""

    figures: Mapping[str, Figure]
    charts: Sequence[Chart]

    def __str__(self) -> str:
        """The figures in one line."""
        return ", ".join(f"{name} {figure}" for name, figure in self.figures.items()) or "see its charts"


def table(charts: Sequence[Chart]) -> Table:
    """The amounts of work of each chart in a row, then the costs, a curve a row."""
    made = Table(title="What the service costs as the work grows", show_header=False)
    for chart in charts:
        amounts = [f"[bold]{amount:,}[/]" for amount in next(iter(chart.curves.values()))]
        made.add_row(f"[bold]{chart.title}[/]", *amounts, f"[bold]{chart.work}[/]")
        for name, curve in chart.curves.items():
            made.add_row(f"{name}, {chart.unit}", *map(_short, curve.values()), chart.target)
        made.add_section()
    return made


def _short(cost: float) -> str:
    """To three digits, and never as 1e+03."""
    return f"{cost:,.3g}" if cost < 1000 else f"{cost:,.0f}"
