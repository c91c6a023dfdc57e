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
        """Return the figure to four significant digits."""
        return f"{self.median:.4g} ({self.low:.4g} to {self.high:.4g})"

    def row(self) -> dict[str, float]:
        """Return the values for JSON, to four significant digits."""
        return {name: float(f"{value:.4g}") for name, value in asdict(self).items()}


def figure(readings: Iterable[float]) -> Figure:
    """Return the median with the lowest and the highest reading. Raises StatisticsError without readings."""
    readings = list(readings)
    return Figure(median(readings), min(readings), max(readings))


def percentiles(readings: Iterable[float]) -> Figure:
    """Return the median, with the 10th and 90th percentile instead of the lowest and the highest reading."""
    low, middle, high = np.quantile(list(readings), (0.1, 0.5, 0.9)).tolist()
    return Figure(middle, low, high)


def seconds(act: Callable[[], object]) -> float:
    """Return how many seconds one call of `act` takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def ratios(numerator: Callable[[], object], denominator: Callable[[], object], rounds: int) -> list[float]:
    """Return the ratio of their seconds in each round; they are called alternately, after one call each to warm up."""
    numerator(), denominator()
    return [seconds(numerator) / seconds(denominator) for _ in range(rounds)]
