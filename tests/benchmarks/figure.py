"""A figure is a median with its spread. Comparisons are measured in pairs, so that noise affects both sides."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np


class NotAvailable(Exception):
    """This machine lacks something that a figure needs. That is not a failure of what is measured."""


@dataclass(frozen=True)
class Figure:
    """The median of several readings, with the lowest and the highest."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """To four significant digits."""
        return f"{self.median:.4g} ({self.low:.4g} to {self.high:.4g})"

    def row(self) -> dict[str, float]:
        """For JSON, to four significant digits."""
        return {name: float(f"{value:.4g}") for name, value in asdict(self).items()}


def figure(readings: Iterable[float]) -> Figure:
    """Raises StatisticsError if there are no readings."""
    readings = list(readings)
    return Figure(median(readings), min(readings), max(readings))


def percentiles(readings: Iterable[float]) -> Figure:
    """The median, with the 10th and 90th percentile in place of the lowest and the highest."""
    low, middle, high = np.quantile(list(readings), (0.1, 0.5, 0.9)).tolist()
    return Figure(middle, low, high)


def seconds(act: Callable[[], object]) -> float:
    """How many seconds one call of `act` takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def ratios(one: Callable[[], object], other: Callable[[], object], rounds: int) -> list[float]:
    """The seconds of `one` divided by those of `other`, called in turns after one call of each to warm up."""
    one(), other()
    return [seconds(one) / seconds(other) for _ in range(rounds)]
