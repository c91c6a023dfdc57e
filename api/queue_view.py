"""The whole at a glance: lines, running jobs, workers; once, or as a stream."""

import time
from collections.abc import Iterator

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from api.context import Context, here
from api.schema import Answer, operation
from api.stream import HEARTBEAT_SECONDS, MEDIA_TYPE, event_stream, message
from api.view import JobView, answer, views
from shared.errors import JobNotFound, TooManyWatchers
from shared.job import JobState
from shared.overview import WorkerInfo
from shared.ports import Ports

routes = Blueprint("queue", __name__)


class TierView(BaseModel):
    """One waiting line."""

    name: str
    depth: int = Field(description="Jobs that wait.")
    oldest_seconds: float | None = Field(description="How long the next job has existed; null for an empty line.")


class QueueView(BaseModel):
    """A snapshot."""

    tiers: list[TierView] = Field(description="In the order they are served.")
    running: list[JobView]
    workers: list[WorkerInfo]
    completed_last_hour: int = Field(description="Jobs that ended, one way or another.")


@routes.get("/v1/queue")
@operation(Answer(200, "The queue.", QueueView))
def get_queue() -> Response:
    """Look at the queue."""
    return answer(snapshot(here()))


@routes.get("/v1/queue/events")
@operation(Answer(200, "An event `queue` whenever it changes.", media=MEDIA_TYPE), errors=(TooManyWatchers,))
def get_queue_events() -> Response:
    """Watch the queue: a snapshot now and whenever it changes, at most once a second."""
    context = here()
    return event_stream(context, lambda: _changes(context))


def snapshot(context: Context) -> QueueView:
    """The queue as it is now."""
    ports = context.ports
    return QueueView(
        tiers=[_tier(ports, tier) for tier in ports.settings.tiers],
        running=views(context, ports.ledger.list(state=JobState.RUNNING, limit=200)),
        workers=ports.overview.workers(),
        completed_last_hour=ports.overview.completed_last_hour(),
    )


def _tier(ports: Ports, tier: str) -> TierView:
    depth, head = ports.overview.depth(tier), ports.overview.head(tier)
    return TierView(name=tier, depth=depth, oldest_seconds=_age(ports, head) if head else None)


def _age(ports: Ports, job: str) -> float | None:
    try:
        return round(max(0.0, time.time() - ports.ledger.get(job).request.created_at), 1)
    except JobNotFound:  # taken and deleted since
        return None


def _changes(context: Context) -> Iterator[str]:
    yield "retry: 2000\n\n"
    told, spoke = "", 0.0
    while not context.stopping.is_set():
        now = snapshot(context)
        substance = _substance(now)
        if substance != told:
            told, spoke = substance, time.monotonic()
            yield message("queue", now.model_dump(mode="json"))
        elif time.monotonic() - spoke >= HEARTBEAT_SECONDS:
            spoke = time.monotonic()
            yield ": still here\n\n"
        context.stopping.wait(1)


def _substance(view: QueueView) -> str:
    """What makes a change: not the ages and estimates that every second alters."""
    ages = {
        "tiers": {"__all__": {"oldest_seconds"}},
        "running": {"__all__": {"eta_seconds", "metrics"}},
        "workers": {"__all__": {"seen_at"}},
    }
    return view.model_dump_json(exclude=ages)
