"""The end of a job: result, provenance, pending outcome, and the fenced transition."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from easel.models import JobError, JobState
from shared.errors import ClaimLost, JobNotFound, Unavailable
from shared.imaging.transparency import Alpha, encode_rendered_png
from shared.storage import keys
from worker.job.session import JobSession
from worker.protocols import Iterate
from worker.retry import RetryUntilAvailable

log = structlog.get_logger(__name__)

Describe = Callable[[Iterate, bytes], Mapping[str, Any]]
"""Returns the provenance of a result from its iterate and its PNG."""


class Publisher:
    """Writes what a job ends with. Nothing of it is visible before the transition, or ever if the claim is lost."""

    def __init__(self, session: JobSession, retry: RetryUntilAvailable) -> None:
        self._session, self._retry = session, retry

    def write_result(self, iterate: Iterate, describe: Describe, alpha: Alpha | None = None) -> dict[str, Any]:
        """Write the result, with the photo's alpha, and its provenance; return the record's fields that name them."""
        job = self._session.job
        png = encode_rendered_png(iterate.image, alpha, job.request.recipe.bit_depth)
        key = keys.result(job.id, self._session.token)
        self._put(keys.provenance(key), json.dumps(describe(iterate, png), indent=2).encode(), "application/json")
        self._put(key, png, "image/png")
        stopped_early = iterate.step < job.request.recipe.total_steps
        return {"result": key, "stopped_early": stopped_early, "stopped_at_step": iterate.step}

    def end_job(self, state: JobState, error: JobError | None = None, **fields: Any) -> None:
        """Write the pending outcome, then make the transition. Raises ClaimLost."""
        fields, canceled = {"error": error, **fields}, state is JobState.CANCELED
        if not canceled:  # the blob store has its control request already
            outcome = {**fields, "state": state, "completed_at": time.time()}
            self._retry(lambda: self._session.write_pending_outcome(outcome))
        try:
            self._retry(lambda: self._session.end_job(state, **fields), despite_cancel=canceled)
        except ClaimLost:
            self._withdraw_pending_outcome()
            raise
        log.info("job_ended", state=str(state))

    def finalize(self) -> None:
        """Write the end of the job where it survives Redis, if the store is available; else the reaper does."""
        try:
            self._session.finalize()
        except (Unavailable, JobNotFound) as error:
            log.warning("not_finalized", detail=error.detail)  # the reaper does it, unless the job was deleted

    def _withdraw_pending_outcome(self) -> None:
        try:
            self._session.withdraw_pending_outcome()
        except Unavailable as error:
            log.warning("pending_outcome_not_withdrawn", detail=error.detail)  # a later claim's takes precedence

    def _put(self, key: str, data: bytes, content_type: str) -> None:
        self._retry(lambda: self._session.blobs.put(key, data, content_type=content_type))
