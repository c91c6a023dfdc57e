"""The whole at a glance: lines, running jobs, workers; once, as a stream, or line by line."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from api.context import Context, here
from api.eta.forecast import Eta
from api.http.operations import Answer, Query, operation
from api.http.serializers import JobView, answer, moment, views
from api.routes.events import HEARTBEAT_SECONDS, MEDIA_TYPE, RETRY, STILL_HERE, event_stream, message
from easel.models import JobState
from shared.errors import JobNotFound, NotFound, TooManyStreams, TooManyWatchers
from shared.ledger.queue_stats import WorkerInfo
from shared.services import Services

routes = Blueprint("queue", __name__)

_BUCKETS: Final = 12
_BUCKET_SECONDS: Final = 300


class TierView(BaseModel):
    """One waiting line."""

    name: str
    depth: int = Field(description="Jobs that wait.")
    oldest_seconds: float | None = Field(description="How long the next job has existed; null for an empty line.")
    eta_seconds: Eta | None = Field(description="Until the end of a job that came now; null where nobody can know.")


class Bucket(BaseModel):
    """Five minutes."""

    at: datetime = Field(description="Their beginning.")
    completed: int = Field(description="Jobs that ended in them, one way or another.")


class QueueView(BaseModel):
    """A snapshot."""

    tiers: list[TierView] = Field(description="In the order they are served.")
    running: list[JobView]
    workers: list[WorkerInfo]
    completed_last_hour: int = Field(description="Jobs that ended, one way or another.")
    throughput: list[Bucket] = Field(description="Of about the last hour; the last bucket is not full yet.")


class LineQuery(Query):
    """Which part of the line."""

    offset: int = Field(default=0, ge=0, le=2**31, description="Jobs to leave out at its head.")
    limit: int = Field(default=50, ge=1, le=200)


class LineView(BaseModel):
    """A part of one waiting line."""

    jobs: list[JobView] = Field(description="As they will be served.")
    total: int = Field(description="Jobs that wait in the whole line.")


@routes.get("/v1/queue")
@operation(Answer(200, "The queue.", QueueView))
def get_queue() -> Response:
    """Look at the queue."""
    return answer(snapshot(here()))


@routes.get("/v1/queue/<tier>/jobs")
@operation(Answer(200, "The line.", LineView), query=LineQuery, errors=(NotFound,))
def get_line(tier: str, query: LineQuery) -> Response:
    """Look along a waiting line, from its head on."""
    context = here()
    if tier not in context.settings.tiers:
        raise NotFound(f"There is no tier {tier!r}; there are {', '.join(context.settings.tiers)}.")
    services = context.services
    jobs = services.ledger.several(services.queue_stats.line(tier, query.offset, query.limit))
    waiting = [job for job in jobs if job.state is JobState.QUEUED]  # some may have been taken just now
    return answer(LineView(jobs=views(context, waiting), total=services.queue_stats.depth(tier)))


@routes.get("/v1/queue/events")
@operation(
    Answer(200, "An event `queue` whenever it changes.", media=MEDIA_TYPE), errors=(TooManyStreams, TooManyWatchers)
)
def get_queue_events() -> Response:
    """Watch the queue: a snapshot now and whenever it changes, at most once a second."""
    context = here()
    return event_stream(context, lambda: _changes(context))


def snapshot(context: Context) -> QueueView:
    """The queue as it is now."""
    services = context.services
    return QueueView(
        tiers=[_tier(context, tier) for tier in services.settings.tiers],
        running=views(context, services.ledger.list(state=JobState.RUNNING, limit=200)),
        workers=services.queue_stats.workers(),
        completed_last_hour=services.queue_stats.completed_last_hour(),
        throughput=_throughput(services, time.time()),
    )


def _tier(context: Context, tier: str) -> TierView:
    services = context.services
    depth, head = services.queue_stats.depth(tier), services.queue_stats.head(tier)
    return TierView(
        name=tier,
        depth=depth,
        oldest_seconds=_age(services, head) if head else None,
        eta_seconds=context.forecaster.now().eta_of_last(tier),
    )


def _age(services: Services, job: str) -> float | None:
    try:
        return round(max(0.0, time.time() - services.ledger.get(job).request.created_at), 1)
    except JobNotFound:  # taken and deleted since
        return None


def _throughput(services: Services, now: float) -> list[Bucket]:
    """Buckets begin at full five minutes, so that a picture of them stands still between two."""
    latest = now // _BUCKET_SECONDS * _BUCKET_SECONDS
    starts = [latest - _BUCKET_SECONDS * back for back in reversed(range(_BUCKETS))]
    counts = services.queue_stats.completed(starts, _BUCKET_SECONDS)
    return [Bucket(at=moment(start), completed=count) for start, count in zip(starts, counts, strict=True)]


def _changes(context: Context) -> Iterator[str]:
    yield RETRY
    told, spoke = "", 0.0
    while not context.stopping.is_set():
        now, substance = context.glances.get(lambda: _glance(context))
        if substance != told:
            told, spoke = substance, time.monotonic()
            yield now
        elif time.monotonic() - spoke >= HEARTBEAT_SECONDS:
            spoke = time.monotonic()
            yield STILL_HERE
        context.stopping.wait(1)


def _glance(context: Context) -> tuple[str, str]:
    """A snapshot as a message, and what makes a change: not the ages and estimates that every second alters."""
    view = snapshot(context)
    ages = {
        "tiers": {"__all__": {"oldest_seconds", "eta_seconds"}},
        "running": {"__all__": {"eta_seconds", "metrics"}},
        "workers": {"__all__": {"seen_at"}},
    }
    return message("queue", view.model_dump(mode="json")), view.model_dump_json(exclude=ages)
