"""The status of watched jobs, kept current by their events."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Self

from easel import ApiError, Job, JobEvent, JobStatus
from easel.events import Estimate
from easel.terminal.event_feed import EventFeed
from easel.terminal.tables import format_age, format_rest

_TICK: Final = 1.0  # seconds between updates, and between requests about a job without an open stream


@dataclass
class JobUpdate:
    """A job's status, the time when it was received (monotonic clock), and what is new since the update before."""

    status: JobStatus
    received_at: float = field(default_factory=time.monotonic)
    new_preview: bool = False
    notices: tuple[str, ...] = ()  # sentences

    def with_estimate(self, estimate: Estimate) -> Self:
        """Return the update with the position and remaining time of an event."""
        changes = {"queue_position": estimate.queue_position, "eta_seconds": estimate.eta_seconds}
        return replace(self, status=self.status.model_copy(update=changes), received_at=time.monotonic())

    def elapsed(self) -> float:
        """Return the seconds since the first worker claimed the job, up to its end."""
        if self.status.started_at is None:
            return 0.0
        end = self.status.completed_at or datetime.now(UTC)
        return max(0.0, (end - self.status.started_at).total_seconds())

    def remaining(self) -> float | None:
        """Return the estimated seconds until the job ends (p50); None if unknown or ended."""
        eta = self.status.eta_seconds
        if eta is None or self.status.ended:
            return None
        return max(0.0, eta.p50 - (time.monotonic() - self.received_at))


def iter_updates(jobs: Sequence[Job]) -> Iterator[dict[str, JobUpdate]]:
    """Yield the newest update of every job by ID, about once a second, until all have ended. Raises ApiError."""
    updates = {job.id: JobUpdate(job.status, new_preview=bool(job.status.urls.get("preview"))) for job in jobs}
    yield updates
    feed = EventFeed([job for job in jobs if not job.ended])
    while not all(job.ended for job in jobs):
        events = feed.get(timeout=_TICK)
        estimates = {job_id: event.data for job_id, event in events if event.kind == "estimate"}
        changed = {job_id for job_id, event in events if event.kind != "estimate"}
        with_preview = {job_id for job_id, event in events if event.kind == "preview"}
        for job in jobs:
            stale = job.id not in feed.live and time.monotonic() - updates[job.id].received_at >= _TICK
            if not job.ended and (job.id in changed or stale) and _refresh(job):
                updates[job.id] = JobUpdate(job.status)
            elif estimate := estimates.get(job.id):
                updates[job.id] = updates[job.id].with_estimate(estimate)
            updates[job.id].new_preview = job.id in with_preview
            updates[job.id].notices = tuple(filter(None, (_notice(e) for i, e in events if i == job.id)))
        yield updates


def _notice(event: JobEvent) -> str:
    """Return what an event says in a sentence; empty if the status shows it."""
    if event.kind == "warning":
        return event.data.detail
    if event.kind == "worker_silent" and event.data.since:
        rest = format_rest(event.data.lease_expires_at)
        return (
            f"The worker has not answered for {format_age(event.data.since)}; the job continues on another one {rest}."
        )
    return ""


def _refresh(job: Job) -> bool:
    """Refresh the status. False if the service is unavailable, which ends the watch only if the stream breaks, too."""
    try:
        job.refresh()
    except ApiError as error:
        if not error.retryable:
            raise
        return False
    return True
