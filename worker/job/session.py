"""The ledger and the job files as seen by the worker that holds a claim.

A worker reads and writes its job through a JobSession only. Every write is fenced by the claim's token: once another
worker holds the job, writes to the record raise ClaimLost, and blobs that this worker wrote stay invisible, because
readers follow the record.
"""

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal, Self, TypeVar

import structlog

from easel.models import JobState
from shared.errors import BlobMissing, ClaimLost, JobNotFound, StorageUnavailable, Unavailable
from shared.jobs.run_history import RunRecord
from shared.ledger.ledger import Claim, ControlFlags
from shared.recovery import job_files
from shared.services import Services, stored_identity
from shared.storage import keys
from worker.devices.memory import WorkerMemory

log = structlog.get_logger(__name__)

Place = Literal["head", "tail"]
"""Of a job that returns to its queue: the head is where it was, the tail behind the others of its tenant."""

Result = TypeVar("Result")
_RETRY_SECONDS: Final = 1.0  # between two attempts
_DRAIN_RETRY_SECONDS: Final = 3.0  # of attempts in a drain, all calls together


class JobSession:
    """One claim. Safe to share between threads."""

    def __init__(self, services: Services, claim: Claim, drain: threading.Event | None = None) -> None:
        """`drain` is set once the worker has to stop."""
        self.job, self.token, self.drain = claim.job, claim.token, drain or threading.Event()
        self.settings, self.blobs = services.settings, services.blobs
        self.lost = threading.Event()
        """Set once another worker holds the claim."""
        self.ended = False
        """Whether `end_job` ended the job."""
        self.active_at = time.monotonic()
        """When the loop last did a step or waited for a service (time.monotonic). After a while it counts as hung."""
        self._control_flags = ControlFlags(cancel=False, finish=False, others_waiting=False)
        self._retry_until = math.inf  # in a drain: some seconds after the start of the first call that failed
        self._services, self._ledger, self._claim = services, services.ledger, claim

    @classmethod
    def claim_next(
        cls, services: Services, worker: str, memory: WorkerMemory, drain: threading.Event | None = None
    ) -> Self | None:
        """Claim the next job that fits into `memory`; None if there is none. Raises Unavailable."""
        claim = services.ledger.claim(
            worker,
            services.settings.tiers,
            lease_seconds=services.settings.lease_seconds,
            memory_bytes=memory.size,
            memory_kind=memory.kind,
            running_limit=services.settings.tenant_running_jobs,
        )
        return cls(services, claim, drain) if claim else None

    # While the job runs.

    @property
    def control_flags(self) -> ControlFlags:
        """The flags of the last renewal. Raises ClaimLost once another worker holds the claim."""
        if self.lost.is_set():
            raise ClaimLost(f"Job {self.job.id} has another holder now.")
        return self._control_flags

    def mark_active(self) -> None:
        """Record that the loop goes on, or waits for a service that may be slow, so that it does not count as hung."""
        self.active_at = time.monotonic()

    def retry(self, call: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """Call until Redis and the blob store are available. Raises ClaimLost, Unavailable.

        A drain ends the waits after some seconds in all. A cancel ends them at once, except for Redis: without it a
        cancel cannot be recorded, and this worker could claim no other job anyway.
        """
        began = time.monotonic()
        while True:
            self.mark_active()
            try:
                return call(*args, **options)
            except Unavailable as error:
                log.warning("waiting_for_service", code=error.code, cause=str(error.__cause__))
                self.mark_active()
                canceled = self.control_flags.cancel and isinstance(error, StorageUnavailable)
                if self.drain.is_set():
                    self._retry_until = min(self._retry_until, began + _DRAIN_RETRY_SECONDS)
                if canceled or time.monotonic() + _RETRY_SECONDS >= self._retry_until:
                    raise
                self.lost.wait(_RETRY_SECONDS)

    def renew(self, event: tuple[str, Any] | None = None, **fields: Any) -> None:
        """Renew the lease, write `fields` to the record and append `event`, a kind and its data.

        Raises ClaimLost, LedgerUnavailable.
        """
        lease_seconds = self.settings.lease_seconds
        try:
            self._control_flags = self._ledger.renew(self._claim, lease_seconds=lease_seconds, event=event, **fields)
        except ClaimLost:
            self.lost.set()
            raise

    def record(self, **fields: Any) -> None:
        """Write `fields` to the record and to `job`, and retry; the loop alone does. Raises as `retry` does."""
        self.retry(self.renew, **fields)
        self.job = self.job.model_copy(update=fields)

    def publish_event(self, kind: str, **data: Any) -> None:
        """Append an event to the job's stream; it is dropped if the ledger is unavailable. Raises ClaimLost."""
        with suppress(Unavailable):
            self.renew((kind, data))

    def warn(self, code: str, detail: str) -> None:
        """Append a warning to the job's events, and retry. Raises as `retry` does."""
        self.retry(self.renew, ("warning", {"code": code, "detail": detail}))

    def read(self, key: str) -> bytes:
        """Return a blob, and retry. Raises BlobMissing, and as `retry` does."""
        return self.retry(self._read, key)

    def write(self, key: str, data: bytes, content_type: str) -> None:
        """Store a blob, and retry. Raises as `retry` does."""
        self.retry(self.blobs.put, key, data, content_type=content_type)

    # The end of the claim.

    def end_job(self, state: JobState, **fields: Any) -> None:
        """End the job and make its result visible. Raises as `retry` does.

        The pending outcome is written first. It stays if Redis lost the record: it is then unknown whether an earlier
        attempt succeeded.
        """
        if state is not JobState.CANCELED:  # the blob store has its control request already
            outcome = {**fields, "state": state, "completed_at": time.time()}
            changed = {name: value for name, value in outcome.items() if value is not None}
            self.retry(job_files.write_pending_outcome, self.blobs, self.job.model_copy(update=changed), self.token)
        try:
            self.retry(self._ledger.end_job, self._claim, state, **fields)
        except ClaimLost:
            self._withdraw_pending_outcome()
            raise
        self.ended = True
        log.info("job_ended", state=str(state))

    def finalize(self) -> None:
        """Write the end of the job where it survives Redis, if the store is available; else the reaper does."""
        try:
            job_files.finalize(self._ledger, self.blobs, self.job.id)
        except (Unavailable, JobNotFound) as error:
            log.warning("not_finalized", detail=error.detail)  # the reaper does it, unless the job was deleted

    def release(self, place: Place, **fields: Any) -> None:
        """Return the unfinished job to the queue, and wake an idle worker. Raises ClaimLost, LedgerUnavailable."""
        self._ledger.release(self._claim, place=place, **fields)
        self._services.dispatcher.wake(self.job.request.tier)  # if that fails, the reaper does it

    def give_back(self) -> None:
        """Return a job that was not begun to the head of its queue, if Redis is available."""
        try:
            self.release("head")
        except ClaimLost as error:
            log.warning("claim_lost", job=self.job.id, detail=str(error))
        except Unavailable as error:
            log.warning("job_not_released", job=self.job.id, detail=error.detail)  # its lease expires

    def record_run(self, record: RunRecord) -> None:
        """Add the run to the history that estimates are based on; they do not depend on a single record."""
        with suppress(Unavailable):
            self._services.run_history.add(record)

    def write_handoff_note(self, checkpoint: str) -> None:
        """Leave the key of a checkpoint that the record lacks for the next holder. Raises StorageUnavailable."""
        job_files.write_handoff_note(self.blobs, self.job.id, self.token, checkpoint)
        log.warning("handoff_note_written", checkpoint=checkpoint)

    def read_handoff_note(self) -> str | None:
        """Return the checkpoint key of the last holder's note, if it lost its lease. Raises as `retry` does."""
        last = self.job.last_claim
        return self.retry(job_files.read_handoff_note, self.blobs, self.job.id, last) if last else None

    def _read(self, key: str) -> bytes:
        """Read a blob. Its absence counts only in a store with an identity; without, the disk may not be mounted."""
        try:
            return self.blobs.get(key)
        except BlobMissing as error:
            if stored_identity(self.blobs) is None:
                raise StorageUnavailable("The blob store is empty; is its disk mounted?") from error
            raise

    def _withdraw_pending_outcome(self) -> None:
        try:
            if self._ledger.exists(self.job.id):
                self.blobs.delete(keys.pending_outcome(self.job.id, self.job.claims, self.token))
        except Unavailable as error:
            log.warning("pending_outcome_not_withdrawn", detail=error.detail)  # a later claim's takes precedence
