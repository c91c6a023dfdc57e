"""Rows of measurements, their targets, and tables of both."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, Literal

from rich.table import Column, Table

from benchmarks.figure import Figure

Rating = Literal["aim", "pass", "fail"]

TARGETS: Final[dict[str, tuple[float, float]]] = {
    "step_adam_512": (5, 4),
    "step_adam_1024": (10, 8),
    "step_adam_2048": (40, 32),
    "lbfgs_update_512": (2, 1),
    "lbfgs_update_1024": (2, 1),
    "stage_start_512": (1.5, 1),
    "stage_start_1024": (1.5, 1),
    "default_known_512": (2, 2),
    "default_known_1024": (3, 3),
    "default_known_2048": (8, 8),
    "default_new_512": (6, 6),
    "default_new_1024": (8, 8),
    "default_new_2048": (15, 15),
    "different_bytes_512": (0, 0),
    "different_bytes_1024": (0, 0),
    "different_bytes_2048": (0, 0),
}
"""Limit to pass and aim of a row on a current data center GPU, in the row's unit; lower is better."""

_BASELINES: Final = ("tutorial", "pytorch")
_COLORS: Final = {"aim": "green", "pass": "yellow", "fail": "red"}


@dataclass(frozen=True)
class Row:
    """The engine's median with 10th and 90th percentile, and the same for the baselines."""

    name: str
    unit: str
    easel: Figure
    baselines: Mapping[str, Figure] = field(default_factory=dict)

    def __str__(self) -> str:
        """Format the row as one line."""
        sides = {"easel": self.easel, **self.baselines}
        return f"{self.name}, {self.unit}: " + ", ".join(f"{side} {figure}" for side, figure in sides.items())

    @property
    def rating(self) -> Rating | None:
        """None for a row without a target."""
        if self.name not in TARGETS:
            return None
        limit, aim = TARGETS[self.name]
        return "aim" if self.easel.median <= aim else "pass" if self.easel.median <= limit else "fail"

    def json(self, *, rated: bool) -> dict[str, Any]:
        """Return the row for the JSON line. Only measurements on a GPU are `rated`."""
        limit, aim = TARGETS.get(self.name, (None, None))
        return {
            "unit": self.unit,
            "easel": self.easel.row(),
            **{name: figure.row() for name, figure in self.baselines.items()},
            "pass": limit,
            "aim": aim,
            "rating": self.rating if rated else None,
        }


class Rows(list[Row]):
    """The rows of one measurement."""

    def __str__(self) -> str:
        """Format all rows as one line."""
        return "; ".join(map(str, self))


@dataclass(frozen=True)
class MeasuredVariant:
    """The measurements of one variant of an evaluation. Differences are relative to `reference`, or None without it."""

    milliseconds: Figure
    first_seconds: float
    loss_difference: float | None
    gradient_difference: float | None

    def json(self) -> dict[str, Any]:
        """Return the measurements for the JSON line."""
        return {**vars(self), "milliseconds": self.milliseconds.row()}


def rows_table(rows: Iterable[Row], title: str, *, rated: bool) -> Table:
    """Return a table of medians, with the 10th to 90th percentile in brackets."""
    table = Table(Column("row", no_wrap=True), "unit", "easel", *_BASELINES, "pass", "aim", "", title=title)
    for row in rows:
        rating = row.rating if rated else None
        targets = [f"{target:g}" for target in TARGETS.get(row.name, ())] or ["", ""]
        baselines = [str(row.baselines.get(name, "")) for name in _BASELINES]
        label = f"[{_COLORS[rating]}]{rating}" if rating else ""
        table.add_row(row.name, row.unit, str(row.easel), *baselines, *targets, label)
    return table


def variants_table(variants_by_width: Mapping[int, Mapping[str, MeasuredVariant]], title: str) -> Table:
    """Return a table with one line per variant and four columns per width; times are medians."""
    headers = [(f"{width}: ms", "first call, s", "loss differs", "gradient differs") for width in variants_by_width]
    table = Table(Column("variant", no_wrap=True), *chain.from_iterable(headers), title=title)
    for name in dict.fromkeys(name for variants in variants_by_width.values() for name in variants):
        cells = list[str]()
        for variants in variants_by_width.values():
            variant = variants.get(name)
            cells += _cells(variant) if variant else [""] * 4
        table.add_row(name, *cells)
    return table


def _cells(variant: MeasuredVariant) -> list[str]:
    differences = (variant.loss_difference, variant.gradient_difference)
    formatted = ["" if difference is None else f"{difference:.1e}" for difference in differences]
    return [f"{variant.milliseconds.median:.4g}", f"{variant.first_seconds:.1f}", *formatted]
