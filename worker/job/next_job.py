"""A worker's next job: claim it, and run it as a Celery task of its own."""

import threading
import time

import structlog
from kombu import Queue

from shared.errors import ClaimLost, JobNotFound, LedgerUnavailable, Unavailable
from shared.services import Services
from worker.job.run import JobRun
from worker.job.session import JobSession
from worker.job.worker_state import WorkerState
from worker.spans import claim_span, run_span

log = structlog.get_logger(__name__)


def claim_next_job(services: Services, worker: WorkerState, queue: Queue) -> JobSession | None:
    """Claim the next job and send this worker the task that runs it; None if there is no job, or no Redis."""
    started_at = time.time()
    try:
        session = JobSession.claim_next(services, worker.name, worker.memory)
    except Unavailable as error:
        log.warning("claim_failed", detail=error.detail)  # the reaper wakes this worker again
        return None
    if session is None:
        return None
    try:
        with claim_span(session.job, started_at=started_at):
            services.dispatcher.run_here(queue, session.job.id, session.token)
    except LedgerUnavailable as error:
        log.warning("task_not_sent", job=session.job.id, detail=error.detail)
        release(session)
        return None
    return session


def run_job(services: Services, worker: WorkerState, drain: threading.Event, session: JobSession) -> None:
    """Run a claimed job."""
    job = session.job
    context = structlog.contextvars.bound_contextvars(job=job.id, tenant=job.tenant, request_id=job.request.request_id)
    with context, run_span(job), worker.running(job.id):
        log.info("job_claimed", claims=job.claims, recipe=job.request.recipe.preset)
        try:
            if job.memory_failures and worker.has_run_a_job:
                _requeue_for_fresh_child(session, worker)
            else:
                worker.has_run_a_job = True
                JobRun(services, worker, drain, session).run()
        except ClaimLost as error:
            log.warning("claim_lost", detail=str(error))
        except Unavailable as error:
            log.warning("job_not_released", detail=error.detail)


def release(session: JobSession) -> None:
    """Return a claimed job that was not begun to the head of its queue, if Redis is available."""
    try:
        session.release("head")
        session.wake_worker()
    except ClaimLost as error:
        log.warning("claim_lost", job=session.job.id, detail=str(error))
    except Unavailable as error:
        log.warning("job_not_released", job=session.job.id, detail=error.detail)  # its lease expires


def take_back(services: Services, job_id: str, token: str) -> None:
    """Return the job of a process that died to its queue, unless that process had ended or released it."""
    try:
        if (state := services.ledger.take_back(job_id, token)) is None:
            return
        log.warning("claim_taken_back", job=job_id, state=str(state))
        services.dispatcher.wake(services.ledger.get(job_id).request.tier)
    except (JobNotFound, Unavailable) as error:
        log.warning("claim_not_taken_back", job=job_id, detail=error.detail)  # its lease expires


def _requeue_for_fresh_child(session: JobSession, worker: WorkerState) -> None:
    """Give back a job that ran out of memory once, so that a process that has run no other job claims it."""
    worker.needs_replacement = True
    session.release("head")
    session.wake_worker()
