"""`GET /metrics`: Prometheus metrics of this process, and of the queue as it is in Redis."""

import shutil
import time
from collections.abc import Iterator
from typing import Final

from flask import Blueprint, Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from api.context import Context
from api.http.operations import ResponseDoc, operation
from easel.models import JobState
from shared.errors import EaselError
from shared.metrics import jobs
from shared.metrics.instruments import REGISTRY, Counter, Histogram, ScrapedGauge
from shared.presets import PRESETS
from shared.services import Services
from shared.storage import store_folder

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
"""All others share one label, so that clients cannot create labels."""

HTTP_REQUESTS: Final = Counter("easel_http_requests_total", "HTTP requests.", ("method", "route", "status"))
HTTP_SECONDS: Final = Histogram(
    "easel_http_request_duration_seconds",
    "Time from a request to the start of its response.",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

LEDGER_UP: Final = ScrapedGauge("easel_ledger_up", "1 if Redis responds, else 0.")
DEPTH: Final = ScrapedGauge("easel_queue_depth", "Queued jobs by tier.", ("tier",))
OLDEST: Final = ScrapedGauge(
    "easel_queue_oldest_seconds", "Seconds since the submission of the tier's next job; 0 without one.", ("tier",)
)
JOBS: Final = ScrapedGauge("easel_jobs", "Jobs in the ledger by state.", ("state",))
WORKERS: Final = ScrapedGauge("easel_workers", "Live workers.")
BUSY: Final = ScrapedGauge("easel_workers_busy", "Live workers that hold a job.")
COMPLETED: Final = ScrapedGauge("easel_completed_last_hour", "Jobs that ended in the last hour.")
WEBHOOK_BACKLOG: Final = ScrapedGauge(
    "easel_webhook_backlog", "Webhook events to be delivered, also those that wait for their next attempt."
)
WEBHOOK_OVERDUE: Final = ScrapedGauge(
    "easel_webhook_overdue_seconds", "Seconds by which the oldest due attempt of a webhook is late; 0 without one."
)
REDIS_MEMORY: Final = ScrapedGauge("easel_redis_memory_bytes", "Memory that Redis uses.")
REDIS_MEMORY_LIMIT: Final = ScrapedGauge("easel_redis_memory_limit_bytes", "Redis' `maxmemory`; 0 for no limit.")
DISK: Final = ScrapedGauge("easel_storage_disk_bytes", "Size of the disk of a blob store in a folder.")
DISK_FREE: Final = ScrapedGauge("easel_storage_disk_free_bytes", "Free bytes of the same disk.")

routes = Blueprint("metrics", __name__)


class _LedgerCollector(Collector):
    """Reads Redis at each scrape, so that all API processes report the same. The cost does not grow with the jobs."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        up = 1
        try:
            yield from list(self._ledger_metrics())
        except EaselError:
            up = 0
        yield LEDGER_UP.family((up,))
        yield from self._disk_metrics()

    def _ledger_metrics(self) -> Iterator[Metric]:
        stats, tiers = self._services.queue_stats, self._services.settings.tiers
        yield DEPTH.family(*((stats.depth(tier), tier) for tier in tiers))
        yield OLDEST.family(*((stats.next_job_age(tier) or 0, tier) for tier in tiers))
        yield JOBS.family(*((stats.count(state), str(state)) for state in JobState))
        workers = stats.workers()
        yield WORKERS.family((len(workers),))
        yield BUSY.family((sum(worker.job is not None for worker in workers),))
        yield COMPLETED.family((stats.completed_last_hour(),))
        backlog, overdue_seconds = self._services.outbox.backlog()
        yield WEBHOOK_BACKLOG.family((backlog,))
        yield WEBHOOK_OVERDUE.family((overdue_seconds,))
        used, limit = stats.redis_memory()
        yield REDIS_MEMORY.family((used,))
        yield REDIS_MEMORY_LIMIT.family((limit,))

    def _disk_metrics(self) -> Iterator[Metric]:
        folder = store_folder(self._services.settings.store_url)
        if folder is None:
            return
        try:
            usage = shutil.disk_usage(folder)
        except OSError:  # nothing was stored yet, or the disk is not mounted
            return
        yield DISK.family((usage.total,))
        yield DISK_FREE.family((usage.free,))


def instrument(app: Flask, services: Services) -> None:
    """Count and time all requests of this app."""
    for tier in services.settings.tiers:
        for preset in PRESETS:
            jobs.SUBMITTED.show_zero(tier=tier, preset=preset)

    @app.before_request
    def _start_timer() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def _record(response: Response) -> Response:
        rule = request.url_rule
        method = request.method if request.method in _METHODS else "other"
        route = rule.rule if rule else "unknown"
        HTTP_REQUESTS.inc(method=method, route=route, status=str(response.status_code))
        HTTP_SECONDS.observe(time.perf_counter() - g.get("started", time.perf_counter()), method=method, route=route)
        return response


@routes.get("/metrics")
@operation(ResponseDoc(200, "The text format of Prometheus.", media="text/plain"), scope="metrics")
def metrics() -> Response:
    """Get metrics for Prometheus."""
    ledger = _LedgerCollector(Context.current().services)
    return Response(generate_latest(ledger) + generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
