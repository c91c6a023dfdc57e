"""The ledger and the job files as seen by the worker that holds a claim.

A worker reads and writes its job through a JobSession only. Every write is fenced by the claim's token: once another
worker holds the job, writes to the record raise ClaimLost, and blobs that this worker wrote stay invisible, because
readers follow the record.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, Self

from easel.models import JobState
from shared.errors import Unavailable
from shared.ledger.ledger import Claim, ControlFlags
from shared.recovery import job_files
from shared.services import Services
from shared.storage import keys
from worker.devices.memory import WorkerMemory


class JobSession:
    """One claim. Safe to share between threads."""

    def __init__(self, services: Services, claim: Claim) -> None:
        self.job, self.token = claim.job, claim.token
        self.settings, self.blobs = services.settings, services.blobs
        self._ledger, self._dispatcher, self._claim = services.ledger, services.dispatcher, claim

    @classmethod
    def claim_next(cls, services: Services, worker: str, memory: WorkerMemory) -> Self | None:
        """Claim the next job that fits into `memory`; None if there is none. Raises Unavailable."""
        claim = services.ledger.claim(
            worker,
            services.settings.tiers,
            lease_seconds=services.settings.lease_seconds,
            memory_bytes=memory.size,
            memory_kind=memory.kind,
            running_limit=services.settings.tenant_running_jobs,
        )
        return cls(services, claim) if claim else None

    def renew(self, event: tuple[str, Any] | None = None, **fields: Any) -> ControlFlags:
        """Renew the lease, write `fields` to the record and append `event`, a kind and its data.

        Raises ClaimLost, LedgerUnavailable.
        """
        return self._ledger.renew(self._claim, lease_seconds=self.settings.lease_seconds, event=event, **fields)

    def publish_event(self, kind: str, **data: Any) -> None:
        """Append an event to the job's stream; it is dropped if the ledger is unavailable. Raises ClaimLost."""
        with suppress(Unavailable):
            self.renew(event=(kind, data))

    def warn(self, code: str, detail: str) -> None:
        """Append a warning to the job's events. Raises ClaimLost, LedgerUnavailable."""
        self.renew(event=("warning", {"code": code, "detail": detail}))

    def end_job(self, state: JobState, **fields: Any) -> None:
        """End the job and make its result visible. Raises ClaimLost, LedgerUnavailable."""
        self._ledger.end_job(self._claim, state, **fields)

    def release(self, place: Literal["head", "tail"], **fields: Any) -> None:
        """Return the unfinished job to the queue. Raises ClaimLost, LedgerUnavailable."""
        self._ledger.release(self._claim, place=place, **fields)

    def wake_worker(self) -> bool:
        """Wake an idle worker for this job's tier; False if that failed: then the reaper retries."""
        return self._dispatcher.wake(self.job.request.tier)

    def write_pending_outcome(self, fields: Mapping[str, Any]) -> None:
        """Write the record with the `fields` that `end_job` is about to change. Raises StorageUnavailable."""
        changed = {name: value for name, value in fields.items() if value is not None}
        job_files.write_pending_outcome(self.blobs, self.job.model_copy(update=changed), self.token)

    def withdraw_pending_outcome(self) -> None:
        """Delete the pending outcome of an `end_job` that raised ClaimLost. Raises Unavailable.

        It stays if Redis lost the record: it is then unknown whether an earlier `end_job` succeeded.
        """
        if self._ledger.exists(self.job.id):
            self.blobs.delete(keys.pending_outcome(self.job.id, self.job.claims, self.token))

    def finalize(self) -> None:
        """Write the end of the job to the blob store and delete its checkpoints. Raises JobNotFound, Unavailable."""
        job_files.finalize(self._ledger, self.blobs, self.job.id)

    def write_handoff_note(self, checkpoint: str) -> None:
        """Leave the key of a checkpoint that the record lacks for the next holder. Raises StorageUnavailable."""
        job_files.write_handoff_note(self.blobs, self.job.id, self.token, checkpoint)

    def read_handoff_note(self) -> str | None:
        """Return the checkpoint key of the last holder's note, if it lost its lease. Raises StorageUnavailable."""
        last = self.job.last_claim
        return job_files.read_handoff_note(self.blobs, self.job.id, last) if last else None
