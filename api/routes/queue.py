"""The queue: tiers, running jobs and workers, as a response and as a stream; and the jobs in one tier's queue.

Each tenant sees its own jobs, and only counts of the others.
"""

import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from flask import Blueprint, Response, g
from pydantic import BaseModel, Field

from api.context import Context
from api.http.operations import Query, ResponseDoc, operation
from api.http.serializers import json_response, serialize_jobs, to_datetime
from api.routes.events import MEDIA_TYPE, NO_MESSAGE, event_stream, format_message
from easel.events import QueueChangedEvent
from easel.models import JobState, JobStatus, Queue, ThroughputBucket, Tier, Worker
from shared.errors import NotFound, ServerBusy, TooManyStreams
from shared.ledger.queue_stats import WorkerInfo
from shared.services import Services

routes = Blueprint("queue", __name__)

_BUCKETS: Final = 12
_BUCKET_SECONDS: Final = 300
_VOLATILE: Final = {
    "tiers": {"__all__": {"oldest_seconds", "eta_seconds"}},
    "running": {"__all__": {"eta_seconds", "metrics"}},
    "workers": {"__all__": {"seen_at"}},
}
"""Fields that change every second, and whose changes alone are not sent."""


class QueueJobsQuery(Query):
    """A page of the queue."""

    offset: int = Field(default=0, ge=0, le=2**31, description="Jobs to skip.")
    limit: int = Field(default=50, ge=1, le=200, description="Jobs on a page.")


class QueueJobs(BaseModel):
    """A page of one tier's queue."""

    jobs: list[JobStatus] = Field(description="In the order they will be served.")
    total: int = Field(description="All jobs of the tenant in this queue.")


@routes.get("/v1/queue")
@operation(ResponseDoc(200, "The queue.", Queue))
def get_queue() -> Response:
    """Get the state of the queue."""
    return json_response(_queue(Context.current(), g.caller.tenant))


@routes.get("/v1/queue/<tier>/jobs")
@operation(ResponseDoc(200, "A page of the queue.", QueueJobs), query=QueueJobsQuery, errors=(NotFound,))
def list_queue_jobs(tier: str, query: QueueJobsQuery) -> Response:
    """List the queued jobs of a tier, the next one first."""
    context = Context.current()
    if tier not in context.settings.tiers:
        raise NotFound(f"There is no tier {tier!r}. Tiers: {', '.join(context.settings.tiers)}.")
    services = context.services
    ids = services.queue_stats.list_queued_ids(tier, g.caller.tenant)
    jobs = services.ledger.get_many(ids[query.offset : query.offset + query.limit])
    queued = [job for job in jobs if job.state is JobState.QUEUED]  # some may have been claimed just now
    return json_response(QueueJobs(jobs=serialize_jobs(context, queued), total=len(ids)))


@routes.get("/v1/queue/events")
@operation(
    ResponseDoc(200, "The queue, and again after each change.", media=MEDIA_TYPE, events=QueueChangedEvent),
    errors=(TooManyStreams, ServerBusy),
)
def get_queue_events() -> Response:
    """Stream the state of the queue: now, and after each change, at most once a second."""
    context, tenant = Context.current(), g.caller.tenant
    return event_stream(context, _queue_events(context, tenant))


def queue_message(context: Context, tenant: str) -> tuple[str, str]:
    """Return the queue as an event, and the part of it whose change is worth an event."""
    queue = _queue(context, tenant)
    return format_message("queue", queue.model_dump(mode="json")), queue.model_dump_json(exclude=_VOLATILE)


def _queue(context: Context, tenant: str) -> Queue:
    services = context.services
    running = services.ledger.list(tenant=tenant, state=JobState.RUNNING, limit=200)
    own_ids = {job.id for job in running}
    return Queue(
        tiers=[_tier(context, tier, tenant) for tier in services.settings.tiers],
        running=serialize_jobs(context, running),
        workers=[_worker(worker, own_ids) for worker in services.queue_stats.workers()],
        completed_last_hour=services.queue_stats.completed_last_hour(),
        throughput=_throughput(services, time.time()),
    )


def _worker(info: WorkerInfo, own_ids: AbstractSet[str]) -> Worker:
    job = info.job if info.job in own_ids else None
    return Worker.model_validate({**info.model_dump(), "job": job, "busy": info.job is not None})


def _tier(context: Context, tier: str, tenant: str) -> Tier:
    services = context.services
    age = services.queue_stats.next_job_age(tier)
    return Tier(
        name=tier,
        default=tier == services.settings.default_tier,
        depth=services.queue_stats.depth(tier),
        oldest_seconds=None if age is None else round(age, 1),
        eta_seconds=context.eta.get().eta_of_default(tier, tenant),
    )


def _throughput(services: Services, now: float) -> list[ThroughputBucket]:
    """Return buckets that begin at full five minutes, so that a chart of them does not move in between."""
    latest = now // _BUCKET_SECONDS * _BUCKET_SECONDS
    starts = [latest - _BUCKET_SECONDS * back for back in reversed(range(_BUCKETS))]
    counts = services.queue_stats.count_completed(starts, _BUCKET_SECONDS)
    return [ThroughputBucket(at=to_datetime(at), completed=count) for at, count in zip(starts, counts, strict=True)]


def _queue_events(context: Context, tenant: str) -> Iterator[str]:
    sent = ""
    while not context.stopping.is_set():
        message, content = context.queue_messages.get(tenant)
        yield message if content != sent else NO_MESSAGE
        sent = content
        context.stopping.wait(1)
