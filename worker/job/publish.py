"""How a claim ends with its job: the picture, its provenance, the verdict, and the fenced transition."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from easel.models import JobError, JobState
from shared.errors import ClaimLost, JobNotFound, Unavailable
from shared.images import encode_png
from shared.jobs.job import Job
from shared.ledger.ledger import Claim
from shared.recovery import job_files
from shared.services import Services
from shared.storage import keys
from worker.protocols import Frame
from worker.retry import Patience

log = structlog.get_logger(__name__)

Describe = Callable[[Frame, bytes], Mapping[str, Any]]
"""The provenance of a picture, given as the bytes of its PNG."""


class Ending:
    """Nothing of it is visible before `ledger.finish`, and nothing ever of a claim that is lost."""

    def __init__(self, services: Services, claim: Claim, patience: Patience) -> None:
        self._ports, self._claim, self._patience = services, claim, patience

    def picture(self, frame: Frame, describe: Describe) -> dict[str, Any]:
        """Write the result and its provenance; the record's fields that name them."""
        job, key, png = self._claim.job, keys.result(self._claim.job.id, self._claim.token), encode_png(frame.image)
        self._put(keys.provenance(key), json.dumps(describe(frame, png), indent=2).encode(), "application/json")
        self._put(key, png, "image/png")
        early = frame.step < job.request.recipe.steps
        return {"result": key, "stopped_early": early, "stopped_at_step": frame.step}

    def declare(self, state: JobState, error: JobError | None = None, **fields: Any) -> None:
        """Tell the store what is about to be, and the ledger that it is. Raises ClaimLost."""
        fields = {"error": error, **fields}
        if state is not JobState.CANCELED:  # its wish is in the store already
            about = {**fields, "state": state, "completed_at": time.time()}
            self._patience(lambda: job_files.write_verdict(self._ports.blobs, self._job_with(about), self._claim.token))
        try:
            self._patience(lambda: self._ports.ledger.finish(self._claim, state, **fields))
        except ClaimLost:
            self._take_back_verdict()
            raise
        log.info("ended", state=str(state))

    def _job_with(self, fields: Mapping[str, Any]) -> Job:
        return self._claim.job.model_copy(update={name: value for name, value in fields.items() if value is not None})

    def _take_back_verdict(self) -> None:
        try:
            if not self._ports.ledger.exists(self._claim.job.id):
                return  # Redis lost it: nobody knows any more whether we were heard
            self._ports.blobs.delete(keys.verdict(self._claim.job.id, self._claim.job.epoch, self._claim.token))
        except Unavailable as error:
            log.warning("verdict_left", detail=error.detail)  # a later claim's counts more

    def seal(self) -> None:
        """Write it where it survives Redis, if the store will have it now; else the reaper does."""
        try:
            job_files.seal(self._ports.ledger, self._ports.blobs, self._claim.job.id)
        except (Unavailable, JobNotFound) as error:
            log.warning("not_sealed", detail=error.detail)  # the reaper makes up for it, unless the job was deleted

    def _put(self, key: str, data: bytes, content_type: str) -> None:
        self._patience(lambda: self._ports.blobs.put(key, data, content_type=content_type))
