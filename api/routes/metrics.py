"""`GET /metrics`: Prometheus metrics of this process's requests and of the queue."""

import time
from collections.abc import Iterator
from functools import cache
from typing import Final

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.http.operations import ResponseDoc, operation
from easel.models import JobState
from shared.errors import EaselError
from shared.services import Services

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
"""All others share one label, so that clients cannot create labels."""

routes = Blueprint("metrics", __name__)


class _LedgerCollector(Collector):
    """Reads the ledger at each scrape, so that all API processes report the same."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("easel_ledger_up", "1 if Redis responds, else 0.")
        try:
            yield from list(self._ledger_metrics())
            up.add_metric([], 1)
        except EaselError:
            up.add_metric([], 0)
        yield up

    def _ledger_metrics(self) -> Iterator[Metric]:
        stats = self._services.queue_stats
        depth = GaugeMetricFamily("easel_queue_depth", "Queued jobs by tier.", labels=["tier"])
        for tier in self._services.settings.tiers:
            depth.add_metric([tier], stats.depth(tier))
        jobs = GaugeMetricFamily("easel_jobs", "Jobs in the ledger by state.", labels=["state"])
        for state in JobState:
            jobs.add_metric([str(state)], stats.count(state))
        workers = stats.workers()
        busy = sum(worker.job is not None for worker in workers)
        yield depth
        yield jobs
        yield GaugeMetricFamily("easel_workers", "Live workers.", value=len(workers))
        yield GaugeMetricFamily("easel_workers_busy", "Live workers that hold a job.", value=busy)
        yield GaugeMetricFamily(
            "easel_completed_last_hour", "Jobs that ended in the last hour.", value=stats.completed_last_hour()
        )


def instrument(app: Flask, services: Services) -> None:
    """Count and time all requests of this app."""
    registry = CollectorRegistry()
    registry.register(_LedgerCollector(services))
    labels = ["method", "route", "status"]
    counter = Counter("easel_http_requests", "HTTP requests.", labels, registry=registry)
    histogram = Histogram(
        "easel_http_request_duration_seconds",
        "Time from a request to the start of its response.",
        ["method", "route"],
        registry=registry,
    )
    app.extensions["easel_registry"] = registry

    @cache
    def labeled(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return counter.labels(method, route, str(status)), histogram.labels(method, route)

    @app.before_request
    def _start_timer() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def _record(response: Response) -> Response:
        rule = request.url_rule
        method = request.method if request.method in _METHODS else "other"
        requests, durations = labeled(method, rule.rule if rule else "unknown", response.status_code)
        requests.inc()
        durations.observe(time.perf_counter() - g.get("started", time.perf_counter()))
        return response


@routes.get("/metrics")
@operation(ResponseDoc(200, "The text format of Prometheus.", media="text/plain"), scope="metrics")
def metrics() -> Response:
    """Get metrics for Prometheus."""
    registry: CollectorRegistry = current_app.extensions["easel_registry"]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
