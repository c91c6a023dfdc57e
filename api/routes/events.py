"""Server-sent events (WHATWG HTML, section 9.2): a job's story, replayable from any point."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from flask import Blueprint, Response, g, request
from pydantic import Field

from api.context import Context, here, valid_id
from api.http.operations import Answer, Query, operation
from api.http.serializers import job_url
from api.http.session_cookie import Session
from easel.models import TERMINAL, JobState
from shared.errors import EaselError, MalformedRequest, TooManyStreams, TooManyWatchers
from shared.jobs.events import FIRST, Event, rank

MEDIA_TYPE: Final = "text/event-stream"
HEARTBEAT_SECONDS: Final = 10.0
"""Between comments on a quiet line, so that proxies keep it open and a lost client is noticed."""
RETRY: Final = "retry: 2000\n\n"
"""The first line of every stream: after so many milliseconds a client that lost it comes back."""
STILL_HERE: Final = ": still here\n\n"
"""A line that no client takes for an event."""
_EVENT_ID: Final = re.compile(r"(\d{1,20})(?:-(\d{1,20}))?", re.ASCII)

routes = Blueprint("stream", __name__)
log = structlog.get_logger(__name__)


class EventsQuery(Query):
    """Where to begin."""

    last_event_id: str | None = Field(
        default=None, description="As the header `Last-Event-ID`, for clients that cannot set it; the header wins."
    )


@routes.get("/v1/jobs/<job_id>/events")
@operation(
    Answer(200, "Events until the job has ended: state, progress, preview, warning, lease_lost ...", media=MEDIA_TYPE),
    Answer(204, "The job has ended and nothing follows `Last-Event-ID`; an EventSource stops here."),
    query=EventsQuery,
    headers={"Last-Event-ID": "Leave out this event and all before it."},
    errors=(TooManyStreams, TooManyWatchers),
)
def get_events(job_id: str, query: EventsQuery) -> Response:
    """Watch a job: everything that happened to it so far, then the rest as it happens."""
    context, wanted = here(), valid_id(job_id)
    after = _event_id(request.headers.get("Last-Event-ID") or query.last_event_id or FIRST)
    if _nothing_will_come(context, wanted, after):
        return Response(status=204)
    return event_stream(context, lambda: _story(context, wanted, after))


def event_stream(context: Context, lines: Callable[[], Iterator[str]]) -> Response:
    """A response that sends `lines` as they come and holds one of the watchers' seats meanwhile.

    It ends with the session that opened it: at the first line after HEARTBEAT_SECONDS.
    """
    if request.method == "HEAD":
        return Response(mimetype=MEDIA_TYPE)
    leave = context.watchers.sit_down()
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # proxies must not collect events
    allowed = _while_signed_in(lines(), context, g.session) if "session" in g else lines()
    response = Response(_unbroken(allowed), mimetype=MEDIA_TYPE, headers=headers)
    response.call_on_close(leave)
    return response


def message(kind: str, data: Any, event_id: str | None = None) -> str:
    """One event on the wire."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _story(context: Context, job: str, after: str) -> Iterator[str]:
    yield RETRY
    spoke = time.monotonic()
    with closing(context.news.follow(job, after)) as batches:
        for news in batches:
            if context.stopping.is_set():
                return
            for event in news:
                after, spoke = event.id, time.monotonic()
                yield message(event.kind, shown(job, event), event.id)
                if _is_last(event):
                    return
            if time.monotonic() - spoke >= HEARTBEAT_SECONDS:
                if _nothing_will_come(context, job, after):
                    return
                spoke = time.monotonic()
                yield STILL_HERE


def _nothing_will_come(context: Context, job: str, after: str) -> bool:
    """Whether the job ended, and no later than with the event `after`. Raises JobNotFound."""
    ended = context.services.ledger.get(job).state in TERMINAL
    return ended and rank(context.services.events.last_id(job)) <= rank(after)


def shown(job: str, event: Event) -> dict[str, Any]:
    """As the rest of the API has it: times are ISO 8601 in UTC, where the ledger keeps seconds; pictures are URLs."""
    told = dict(event.data)
    if event.kind == "preview":
        told["url"] = job_url(job, f"previews/{told['step']}")
    if "at" in told:
        told["at"] = datetime.fromtimestamp(told["at"], UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return told


def _is_last(event: Event) -> bool:
    return event.kind == "state" and JobState(event.data["state"]) in TERMINAL


def _while_signed_in(lines: Iterator[str], context: Context, session: Session) -> Iterator[str]:
    """Lines come at least as often as is looked. Raises LedgerUnavailable."""
    looked = time.monotonic()
    for line in lines:
        if time.monotonic() - looked >= HEARTBEAT_SECONDS:
            if context.services.revoked_sessions.has(session.id):
                return
            looked = time.monotonic()
        yield line


def _unbroken(lines: Iterable[str]) -> Iterator[str]:
    """An error ends a stream cleanly: the client comes back by itself, and hears of it with a status of its own."""
    try:
        yield from lines
    except EaselError as error:
        log.info("stream_ended", code=error.code)
        yield f": {error.code}\n\n"


def _event_id(text: str) -> str:
    """A stream id of Redis: two numbers of 64 bits. Raises MalformedRequest.

    The greatest number of all is refused as the second: nothing can follow the greatest id, says Redis, and errs.
    """
    found = _EVENT_ID.fullmatch(text)
    if not found or int(found[1]) >= 2**64 or int(found[2] or 0) >= 2**64 - 1:
        raise MalformedRequest("Last-Event-ID must be the id of an event that this stream sent before.")
    return text
