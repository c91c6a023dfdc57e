"""Rows of measurements, their targets, and the tables that show them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rich.table import Column, Table

from benchmarks.figure import Figure

Verdict = Literal["aim", "pass", "fail"]

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
"""Pass and aim of a row on a current data centre GPU, in the row's unit; less is better."""

_OTHERS: Final = ("tutorial", "pytorch")
_COLOURS: Final = {"aim": "green", "pass": "yellow", "fail": "red"}


@dataclass(frozen=True)
class Row:
    """The engine's median with 10th and 90th percentile, and the same for the others."""

    name: str
    unit: str
    easel: Figure
    others: Mapping[str, Figure] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line."""
        sides = {"easel": self.easel, **self.others}
        return f"{self.name}, {self.unit}: " + ", ".join(f"{side} {figure}" for side, figure in sides.items())

    @property
    def verdict(self) -> Verdict | None:
        """None for a row without a target."""
        if self.name not in TARGETS:
            return None
        limit, aim = TARGETS[self.name]
        return "aim" if self.easel.median <= aim else "pass" if self.easel.median <= limit else "fail"

    def json(self, *, judged: bool) -> dict[str, Any]:
        """As it is written. Only measurements on a GPU are `judged`."""
        limit, aim = TARGETS.get(self.name, (None, None))
        return {
            "unit": self.unit,
            "easel": self.easel.row(),
            **{name: figure.row() for name, figure in self.others.items()},
            "pass": limit,
            "aim": aim,
            "verdict": self.verdict if judged else None,
        }


class Rows(list[Row]):
    """The rows of one measurement."""

    def __str__(self) -> str:
        """All rows on one line."""
        return "; ".join(map(str, self))


@dataclass(frozen=True)
class MeasuredVariant:
    """What was measured of one variant of an evaluation. Differences are relative to `reference`, None without it."""

    milliseconds: Figure
    first_seconds: float
    loss_difference: float | None
    gradient_difference: float | None

    def json(self) -> dict[str, Any]:
        """As it is written."""
        return {**vars(self), "milliseconds": self.milliseconds.row()}


def rows_table(rows: Iterable[Row], title: str, *, judged: bool) -> Table:
    """Each cell is a median, with the 10th to 90th percentile in brackets."""
    table = Table(Column("row", no_wrap=True), "unit", "easel", *_OTHERS, "pass", "aim", "", title=title)
    for row in rows:
        verdict = row.verdict if judged else None
        targets = [f"{target:g}" for target in TARGETS.get(row.name, ())] or ["", ""]
        others = [str(row.others.get(name, "")) for name in _OTHERS]
        label = f"[{_COLOURS[verdict]}]{verdict}" if verdict else ""
        table.add_row(row.name, row.unit, str(row.easel), *others, *targets, label)
    return table


def variants_table(found: Mapping[int, Mapping[str, MeasuredVariant]], title: str) -> Table:
    """One line for each variant and four columns for each width; times are medians."""
    heads = [(f"{width}: ms", "first call, s", "loss differs", "gradient differs") for width in found]
    table = Table(Column("variant", no_wrap=True), *(head for four in heads for head in four), title=title)
    for name in dict.fromkeys(name for variants in found.values() for name in variants):
        cells = list[str]()
        for variants in found.values():
            one = variants.get(name)
            cells += _cells(one) if one else [""] * 4
        table.add_row(name, *cells)
    return table


def _cells(variant: MeasuredVariant) -> list[str]:
    differences = (variant.loss_difference, variant.gradient_difference)
    shown = ["" if difference is None else f"{difference:.1e}" for difference in differences]
    return [f"{variant.milliseconds.median:.4g}", f"{variant.first_seconds:.1f}", *shown]
