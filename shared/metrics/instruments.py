"""Counters, gauges and histograms, like those of prometheus_client, with two differences.

A forked process can redirect its changes to its parent (shared/metrics/pipe.py). And a gauge that is read at each
scrape is defined as well, so that one table lists everything (docs/reference/metrics.md).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import prometheus_client
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the number of series, and nothing here uses them

REGISTRY: Final = CollectorRegistry()
"""Of this process. The API adds what it reads from Redis."""
PROCESS: Final = ProcessCollector(registry=REGISTRY)
"""Memory, CPU time and open files of this process, read from /proc: the metrics `process_*`."""

Change = Callable[[str, float, Sequence[str]], None]
"""Adds a value to the instrument with this name and these label values."""

_redirection: Change | None = None
_changes: Final[dict[str, Change]] = {}


def redirect(change: Change) -> None:
    """Pass all further changes to `change`: in a forked process, where the locks of the registry may be held."""
    global _redirection  # noqa: PLW0603 - one per process, like the registry
    _redirection = change


def apply_change(name: str, value: float, labels: Sequence[str]) -> None:
    """Make a change that another process redirected."""
    _changes[name](name, value, labels)


class Instrument:
    """What all have in common, for the documentation."""

    kind: str

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> None:
        self.name, self.documentation, self.labels = name, documentation, labels

    def _label_values(self, labels: dict[str, str]) -> tuple[str, ...]:
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {tuple(labels)}")
        return tuple(labels[name] for name in self.labels)


class _Accumulating(Instrument, ABC):
    """Adds values up, in this process or, once redirected, in its parent."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...], metric: Any) -> None:
        super().__init__(name, documentation, labels)
        self._series = cache(lambda *values: metric.labels(*values) if values else metric)  # labels() takes long
        _changes[name] = self._apply

    def show_zero(self, **labels: str) -> None:
        """Export 0 before the first event, which Prometheus' `increase` and `rate` would miss otherwise."""
        self._series(*self._label_values(labels))

    def _change(self, value: float, labels: dict[str, str]) -> None:
        (_redirection or _changes[self.name])(self.name, value, self._label_values(labels))

    @abstractmethod
    def _apply(self, name: str, value: float, labels: Sequence[str]) -> None:
        """Add the value in this process."""


class Counter(_Accumulating):
    """Only grows; a new process starts at 0."""

    kind = "counter"

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> None:
        metric = prometheus_client.Counter(name, documentation, labels, registry=REGISTRY)
        super().__init__(name, documentation, labels, metric)

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Add `amount`."""
        self._change(amount, labels)

    def _apply(self, name: str, value: float, labels: Sequence[str]) -> None:  # noqa: ARG002 - as every Change
        self._series(*labels).inc(value)


class Histogram(_Accumulating):
    """Counts observations by size."""

    kind = "histogram"

    def __init__(
        self, name: str, documentation: str, labels: tuple[str, ...] = (), *, buckets: Sequence[float]
    ) -> None:
        metric = prometheus_client.Histogram(name, documentation, labels, buckets=buckets, registry=REGISTRY)
        super().__init__(name, documentation, labels, metric)

    def observe(self, value: float, **labels: str) -> None:
        """Add one observation."""
        self._change(value, labels)

    def _apply(self, name: str, value: float, labels: Sequence[str]) -> None:  # noqa: ARG002 - as every Change
        self._series(*labels).observe(value)


class ScrapedGauge(Instrument):
    """A gauge whose values a collector reads at each scrape."""

    kind = "gauge"

    def family(self, *samples: tuple[float, *tuple[str, ...]]) -> GaugeMetricFamily:
        """Return it with these samples: a value, then those of the labels."""
        family = GaugeMetricFamily(self.name, self.documentation, labels=self.labels)
        for value, *labels in samples:
            family.add_metric(labels, value)
        return family


class Gauge(Instrument):
    """A gauge that is set, for processes without children."""

    kind = "gauge"

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> None:
        super().__init__(name, documentation, labels)
        self._metric = prometheus_client.Gauge(name, documentation, labels, registry=REGISTRY)

    def set(self, value: float, **labels: str) -> None:
        """Set the value."""
        values = self._label_values(labels)
        (self._metric.labels(*values) if values else self._metric).set(value)
