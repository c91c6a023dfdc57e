"""What Celery's parent process does when a task's child process dies, and when an operator revokes a job."""

from typing import Any

import structlog
from billiard.einfo import ExceptionInfo
from billiard.pool import EX_RECYCLE
from celery.worker.request import Request
from celery.worker.state import task_ready

from shared.dispatch import claim_token
from shared.errors import JobNotFound, Unavailable, WrongState
from shared.services import Services
from worker.job.next_job import take_back

log = structlog.get_logger(__name__)


class StylizeRequest(Request):
    """A job, whose ID is the task's. If the child dies, its claim is taken back; only a dead parent costs a lease."""

    @property
    def _services(self) -> Services:
        task: Any = self.task
        services: Services = task.services
        return services

    def on_failure(self, exc_info: ExceptionInfo, *args: Any, **kwargs: Any) -> None:
        """Return the job to its queue, unless the child has ended the job and exits to be replaced."""
        if f"exitcode {EX_RECYCLE} " in str(exc_info.exception):
            return task_ready(self)  # Celery would report a failure
        take_back(self._services, self.id, claim_token(self.request_dict))
        return super().on_failure(exc_info, *args, **kwargs)

    def terminate(self, pool: Any, signal: Any = None) -> None:  # noqa: ARG002 - Celery would send the signal
        """Cancel the job, as a client does: the loop stops at the next evaluation, and the child goes on living."""
        self._cancel()

    def revoked(self) -> bool:
        """Cancel a job that was revoked before this worker claimed it."""
        if not super().revoked():
            return False
        self._cancel()
        take_back(self._services, self.id, claim_token(self.request_dict))
        return True

    def _cancel(self) -> None:
        try:
            self._services.ledger.request_control(self.id, "cancel")
            log.warning("job_revoked", job=self.id)
        except (JobNotFound, WrongState, Unavailable) as error:
            log.warning("job_not_revoked", job=self.id, detail=error.detail)
