"""`GET /metrics` in Prometheus' text format: requests as counted here, the queue as the ledger has it."""

import time
from collections.abc import Iterator
from functools import cache
from typing import Final

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.http.operations import Answer, operation
from easel.models import JobState
from shared.errors import EaselError
from shared.services import Services

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
"""Any other counts as one, so that strangers cannot make up labels."""

routes = Blueprint("metrics", __name__)


class _Ledger(Collector):
    """Asked at each scrape, so that every API process tells the same."""

    def __init__(self, services: Services) -> None:
        self._ports = services

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("easel_ledger_up", "Whether Redis answers.")
        try:
            yield from list(self._of_the_ledger())
            up.add_metric([], 1)
        except EaselError:
            up.add_metric([], 0)
        yield up

    def _of_the_ledger(self) -> Iterator[Metric]:
        queue_stats = self._ports.queue_stats
        depth = GaugeMetricFamily("easel_queue_depth", "Jobs that wait.", labels=["tier"])
        for tier in self._ports.settings.tiers:
            depth.add_metric([tier], queue_stats.depth(tier))
        jobs = GaugeMetricFamily("easel_jobs", "Jobs in the ledger.", labels=["state"])
        for state in JobState:
            jobs.add_metric([str(state)], queue_stats.count(state))
        workers = queue_stats.workers()
        yield depth
        yield jobs
        yield GaugeMetricFamily("easel_workers", "Workers that live.", value=len(workers))
        yield GaugeMetricFamily("easel_workers_busy", "With a job.", value=sum(one.job is not None for one in workers))
        yield GaugeMetricFamily("easel_completed_last_hour", "Jobs ended.", value=queue_stats.completed_last_hour())


def install(app: Flask, services: Services) -> None:
    """Count and time every request of this app."""
    registry = CollectorRegistry()
    registry.register(_Ledger(services))
    labels = ["method", "route", "status"]
    counter = Counter("easel_http_requests", "Requests answered.", labels, registry=registry)
    seconds = Histogram("easel_http_seconds", "Until the answer began.", ["method", "route"], registry=registry)
    app.extensions["easel_registry"] = registry

    @cache
    def children(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return counter.labels(method, route, str(status)), seconds.labels(method, route)

    @app.before_request
    def _begin() -> None:
        g.begun = time.perf_counter()

    @app.after_request
    def _count(response: Response) -> Response:
        method, rule = request.method, request.url_rule
        known = method if method in _METHODS else "other"
        requests, durations = children(known, rule.rule if rule else "unknown", response.status_code)
        requests.inc()
        durations.observe(time.perf_counter() - g.get("begun", time.perf_counter()))
        return response


@routes.get("/metrics")
@operation(Answer(200, "Prometheus' text format.", media="text/plain"))
def metrics() -> Response:
    """Fetch measurements for Prometheus."""
    registry: CollectorRegistry = current_app.extensions["easel_registry"]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
