"""What happens to a claim when its child process dies, and when an operator revokes a job."""

from typing import Any

import structlog
from billiard.einfo import ExceptionInfo
from billiard.pool import EX_RECYCLE
from celery.exceptions import Retry
from celery.worker.request import Request
from celery.worker.state import task_ready

from easel.models import JobState
from shared.dispatch import claim_number, claim_token
from shared.errors import JobNotFound, Unavailable
from shared.services import Services

log = structlog.get_logger(__name__)


def take_back(services: Services, job_id: str, token: str) -> bool:
    """Return the job of a process that died to its queue; False if it ended, or was released before, or Redis is away.

    A job whose cancel was requested ends.
    """
    try:
        if (state := services.ledger.take_back(job_id, token)) is None:
            return False
        log.warning("claim_taken_back", job=job_id, state=str(state))
        services.dispatcher.wake(services.ledger.get(job_id).request.tier)
    except (JobNotFound, Unavailable) as error:
        log.warning("claim_not_taken_back", job=job_id, detail=error.detail)  # its lease expires
        return False
    return state is JobState.QUEUED


class StylizeRequest(Request):
    """A job, whose ID is the task's. If the child dies, its claim is taken back at once."""

    @property
    def _services(self) -> Services:
        task: Any = self.task
        services: Services = task.services
        return services

    def on_accepted(self, pid: Any, time_accepted: float) -> None:
        """Report the start. A job that ran before has ended for Flower, which shows a start only after a retry."""
        if claim_number(self.request_dict) > 1:
            self.send_event("task-retried", exception="", traceback="")
        super().on_accepted(pid, time_accepted)

    def on_failure(self, exc_info: ExceptionInfo, *args: Any, **kwargs: Any) -> None:
        """Return the job to its queue, unless the child has ended or released it.

        Celery would report a failure. A job that is queued again is to be retried, and a child that exited to be
        replaced has ended its job.
        """
        if isinstance(exc_info.exception, Retry):
            return super().on_failure(exc_info, *args, **kwargs)
        queued = self._take_back()
        if queued:
            task_ready(self)
            return self.send_event("task-retried", exception=repr(exc_info.exception), traceback="")
        if f"exitcode {EX_RECYCLE} " not in str(exc_info.exception):
            return super().on_failure(exc_info, *args, **kwargs)
        task_ready(self)
        return self.send_event("task-succeeded", result=None, runtime=0.0)

    def terminate(self, pool: Any, signal: Any = None) -> None:  # noqa: ARG002 - Celery would send the signal
        """Cancel the job, as a client does: the loop stops at the next evaluation, and the child goes on living."""
        self._cancel()

    def revoked(self) -> bool:
        """Cancel a job that was revoked before this worker claimed it."""
        if not super().revoked():
            return False
        self._cancel()
        self._take_back()
        return True

    def _cancel(self) -> None:
        try:
            self._services.ledger.request_control(self.id, "cancel")
            log.warning("job_revoked", job=self.id)
        except Exception:  # Celery's loop must go on; a job that has ended cannot be canceled
            log.exception("job_not_revoked", job=self.id)

    def _take_back(self) -> bool:
        """Take back the claim. Celery would never learn that the task has ended if this raised."""
        try:
            return take_back(self._services, self.id, claim_token(self.request_dict))
        except Exception:
            log.exception("claim_not_taken_back", job=self.id)  # its lease expires
            return False
