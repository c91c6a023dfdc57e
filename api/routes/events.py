"""Server-sent events (WHATWG HTML, section 9.2): all events of a job, replayable from any one."""

import json
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from typing import Any, Final

import structlog
from flask import Blueprint, Response, g, request
from pydantic import Field

from api.context import Context
from api.http.auth import check_still_authorized
from api.http.callers import Caller
from api.http.operations import Query, ResponseDoc, operation
from api.http.own_jobs import find_job
from api.http.serializers import job_url, to_datetime, worker_silence
from api.http.session_cookie import Session
from api.live.computed_events import ComputedEvents, Reading
from api.live.long_poll import read_snapshot
from easel.events import Estimate, KnownJobEvent, iso_milliseconds
from easel.models import TERMINAL, JobState
from shared.errors import EaselError, MalformedRequest, ServerBusy, TooManyStreams
from shared.jobs.events import FIRST_EVENT_ID, StoredEvent, event_order

MEDIA_TYPE: Final = "text/event-stream"
HEARTBEAT_SECONDS: Final = 10.0
"""Time between comments while there are no events: proxies keep the connection open, and lost clients are noticed."""
_RETRY: Final = "retry: 2000\n\n"
"""The first line of each stream: a client that loses the connection reconnects after this many milliseconds."""
_HEARTBEAT: Final = ": heartbeat\n\n"
"""A comment, which clients ignore."""
NO_MESSAGE: Final = ""
"""Yielded by a stream that has nothing to send."""
_EVENT_ID: Final = re.compile(r"(\d{1,20})(?:-(\d{1,20}))?", re.ASCII)

routes = Blueprint("stream", __name__)
log = structlog.get_logger(__name__)


class EventsQuery(Query):
    """Where to resume."""

    last_event_id: str | None = Field(
        default=None, description="Like the header `Last-Event-ID`, for clients that cannot set it. The header wins."
    )


@routes.get("/v1/jobs/<job_id>/events")
@operation(
    ResponseDoc(200, "Events until the job has ended.", media=MEDIA_TYPE, events=KnownJobEvent),
    ResponseDoc(204, "The job has ended, and no event follows `Last-Event-ID`. An EventSource stops here."),
    query=EventsQuery,
    headers={"Last-Event-ID": "Resume after this event."},
    errors=(TooManyStreams, ServerBusy),
)
def get_events(job_id: str, query: EventsQuery) -> Response:
    """Stream a job's events: all past ones, then new ones as they happen."""
    after = _parse_event_id(request.headers.get("Last-Event-ID") or query.last_event_id or FIRST_EVENT_ID)
    context, job_id = Context.current(), find_job(job_id).id
    if _is_complete(context, job_id, after):
        return Response(status=204)
    return event_stream(context, _job_events(context, job_id, after))


def event_stream(context: Context, messages: Iterator[str]) -> Response:
    """Return a response that sends `messages` as they come, and counts as a stream of the client until it is closed.

    There must be one every second, if only NO_MESSAGE: at each one the stream ends if its key was revoked. If a session
    opened the stream, it ends with the session, too: at the first message after HEARTBEAT_SECONDS.
    """
    if request.method == "HEAD":
        return Response(mimetype=MEDIA_TYPE)
    held = ExitStack()
    held.enter_context(context.stream_limits.hold())
    allowed = _while_authorized(messages, context, g.caller, g.get("session"))
    response = Response(_end_on_error(allowed), mimetype=MEDIA_TYPE)
    response.headers["X-Accel-Buffering"] = "no"  # proxies must not buffer events
    response.call_on_close(held.close)
    return response


def format_message(kind: str, data: Any, event_id: str | None = None) -> str:
    """Return an event in the format of the stream."""
    id_line = f"id: {event_id}\n" if event_id else ""
    return f"{id_line}event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def event_data(job_id: str, event: StoredEvent) -> dict[str, Any]:
    """Return the data of an event as in easel/events.py: times in ISO 8601 (UTC), and the URL of a preview."""
    data = dict(event.data)
    if event.kind == "state":
        data.setdefault("restored", False)
    elif event.kind == "preview":
        data["url"] = job_url(job_id, f"previews/{data['step']}")
    if "at" in data:
        data["at"] = iso_milliseconds(to_datetime(data["at"]))
    return data


def _job_events(context: Context, job_id: str, after: str) -> Iterator[str]:
    checked = time.monotonic()  # whether the job has ended
    computed = ComputedEvents(lambda after: _read(context, job_id, after), resumed=after != FIRST_EVENT_ID)
    with closing(context.event_hub.subscribe(job_id, after)) as batches:
        for batch in batches:
            if context.stopping.is_set():
                return
            for event in batch:
                after, checked = event.id, time.monotonic()
                yield format_message(event.kind, event_data(job_id, event), event.id)
                if event.kind == "state" and JobState(event.data["state"]) in TERMINAL:
                    return
            for kind, data in computed.next(after):
                yield format_message(kind, data.model_dump(mode="json"))
            if time.monotonic() - checked >= HEARTBEAT_SECONDS:
                if _is_complete(context, job_id, after):
                    return
                checked = time.monotonic()
            yield NO_MESSAGE


def _read(context: Context, job_id: str, after: str) -> Reading | None:
    """Return what events are computed from; None if stored events are missing, or the job has ended."""
    try:
        snapshot, _ = read_snapshot(context, job_id)
        job = snapshot.job()
    except EaselError:  # the events matter more; they report a lasting error
        return None
    if job.state in TERMINAL or event_order(snapshot.last_event_id) > event_order(after):
        return None
    forecast, position = context.eta.peek(), snapshot.position
    estimate = Estimate(queue_position=position, eta_seconds=forecast.eta(job, position)) if forecast else None
    return Reading(estimate, worker_silence(job, snapshot.lease, context.settings))


def _is_complete(context: Context, job_id: str, after: str) -> bool:
    """Return whether the job has ended and no event follows `after`. Raises JobNotFound."""
    ended = context.services.ledger.get(job_id).state in TERMINAL
    return ended and event_order(context.services.events.last_id(job_id)) <= event_order(after)


def _while_authorized(
    messages: Iterator[str], context: Context, caller: Caller, session: Session | None
) -> Iterator[str]:
    """Yield messages, and heartbeats while there are none, until key or session are revoked.

    Raises Unauthorized, LedgerUnavailable, StorageUnavailable.
    """
    yield _RETRY
    sent = checked = time.monotonic()
    for message in messages:
        check_still_authorized(context, caller)
        now = time.monotonic()
        if session and now - checked >= HEARTBEAT_SECONDS:
            if context.services.revoked_sessions.contains(session.id):
                return
            checked = now
        if message or now - sent >= HEARTBEAT_SECONDS:
            sent = now
            yield message or _HEARTBEAT


def _end_on_error(messages: Iterable[str]) -> Iterator[str]:
    """End the stream cleanly on an error: the client reconnects and receives the error as a response."""
    try:
        yield from messages
    except EaselError as error:
        log.info("stream_ended", code=error.code)
        yield f": {error.code}\n\n"


def _parse_event_id(text: str) -> str:
    """Return a valid Redis stream ID: two numbers of 64 bits. Raises MalformedRequest.

    The second may not be the greatest number: Redis raises an error for a range after the greatest id.
    """
    match = _EVENT_ID.fullmatch(text)
    if not match or int(match[1]) >= 2**64 or int(match[2] or 0) >= 2**64 - 1:
        raise MalformedRequest("Last-Event-ID must be the ID of an event of this stream.")
    return text
