"""Requests that wait for a job: for its next event, or for its end."""

import time
from contextlib import closing
from typing import Final

from flask import g, request

from api.context import Context
from api.http.auth import check_still_authorized
from api.routes.health import confirm_ledger
from easel.models import TERMINAL
from shared.errors import ServerBusy, TooManyStreams
from shared.ledger.job_snapshot import JobSnapshot

MAX_WAIT_SECONDS: Final = 60


def read_snapshot(context: Context, job_id: str) -> tuple[JobSnapshot, str]:
    """Return a job and its JSON. Raises JobNotFound, LedgerLost, LedgerUnavailable."""
    return context.snapshots.get(job_id, lambda ledger_id: confirm_ledger(context, ledger_id))


def wait_for_event(context: Context, job_id: str, last: str, seconds: float) -> str:
    """Wait for events after `last`; return the ID of the newest one, or `last` on timeout.

    Raises TooManyStreams, ServerBusy, Unauthorized.
    """
    deadline = time.monotonic() + seconds
    with context.stream_limits.hold(), closing(context.event_hub.subscribe(job_id, last)) as batches:
        for batch in batches:
            check_still_authorized(context, g.caller)
            if batch:
                return batch[-1].id
            if time.monotonic() >= deadline or context.stopping.is_set():
                break
    return last


def wait_for_end(context: Context, job_id: str, seconds: float) -> str | None:
    """Wait for the end of a job; return its JSON, or None if it has not ended or if too many requests wait already.

    Raises Unauthorized, and like `read_snapshot`.
    """
    deadline = time.monotonic() + seconds
    while True:
        snapshot, text = read_snapshot(context, job_id)
        if snapshot.record["state"] in TERMINAL:
            return text
        remaining = deadline - time.monotonic()
        if remaining <= 0 or context.stopping.is_set():
            return None
        try:
            wait_for_event(context, job_id, snapshot.last_event_id, remaining)
        except (TooManyStreams, ServerBusy):
            return None


def preferred_wait() -> int:
    """Return the seconds that the request prefers to wait (RFC 7240, section 4.3), at most MAX_WAIT_SECONDS, or 0."""
    for preference in ",".join(request.headers.getlist("Prefer")).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        seconds = value.strip().strip('"')
        if name.strip().lower() == "wait" and seconds.isdecimal() and seconds.isascii():
            return min(int(seconds[:9]), MAX_WAIT_SECONDS)
    return 0
