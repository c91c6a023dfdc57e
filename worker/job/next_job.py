"""A worker's next job: claim it and run it."""

import threading

import structlog

from shared.errors import ClaimLost, Unavailable
from shared.services import Services
from worker.job.run import JobRun
from worker.job.session import JobSession
from worker.job.worker_state import WorkerState

log = structlog.get_logger(__name__)


def run_next_job(services: Services, worker: WorkerState, drain: threading.Event) -> bool:
    """Claim the next job and run it. Return whether there was one."""
    try:
        session = JobSession.claim_next(services, worker.name, worker.memory)
    except Unavailable as error:
        log.warning("claim_failed", detail=error.detail)  # the reaper wakes this worker again
        return False
    if session is None:
        return False
    job = session.job
    context = structlog.contextvars.bound_contextvars(job=job.id, request_id=job.request.request_id)
    with context, worker.running(job.id):
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
    return True


def _requeue_for_fresh_child(session: JobSession, worker: WorkerState) -> None:
    """Give back a job that ran out of memory once, so that a process that has run no other job claims it."""
    worker.needs_replacement = True
    session.release("head")
    session.wake_worker()
