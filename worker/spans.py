"""The spans of a claim. Their parent is the submission's, under each claim, so a job that is resumed has one trace."""

from contextlib import AbstractContextManager

from shared.dispatch import queue_name
from shared.jobs.job import Job
from shared.tracing import JOB_ID, span


def claim_span(job: Job, *, started_at: float) -> AbstractContextManager[None]:
    """Return the span of a claim that was made after `started_at`, in seconds since the epoch."""
    attributes = {JOB_ID: job.id, "easel.job.claims": job.claims}
    return span("claim", attributes, traceparent=job.request.traceparent, started_at=started_at)


def run_span(job: Job) -> AbstractContextManager[None]:
    """Return the span of a claim's run, with the attributes of a consumer of messages."""
    queue = queue_name(job.request.tier)
    attributes = {
        "messaging.system": "celery",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": queue,
        "messaging.message.id": job.id,
        JOB_ID: job.id,
        "easel.job.claims": job.claims,
    }
    return span(f"process {queue}", attributes, kind="consumer", traceparent=job.request.traceparent)
