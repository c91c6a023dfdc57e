"""What remains of each job after a run: the client's view, the ledger's record, the blobs and the replayed history."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from chaos.audit.job_history import JobHistory
from chaos.audit.replay import read_histories
from chaos.clients.clients import AcceptedJob, Clients
from chaos.clients.images import REFERENCE_DIGESTS, pixels
from chaos.clients.receiver import Delivery
from chaos.fault_log import FaultLog, StallDetector
from chaos.stack.engine import reference_digest
from chaos.stack.stack import ChaosStack
from shared.errors import BlobMissing, JobNotFound
from shared.jobs.job import Job, JobRequest
from shared.storage import BlobStore, keys

_ALL: Final = 100_000


@dataclass(frozen=True)
class Case:
    """One accepted job."""

    accepted: AcceptedJob
    job: Job | None  # None if the ledger has no record of it
    history: JobHistory
    blobs: BlobStore
    reference_digests: Mapping[str, list[str]]  # sha256 of each step's image in undisturbed TensorFlow runs, by recipe

    @property
    def name(self) -> str:
        """Return the id, with the kind of job and what its client does, for messages."""
        request = self.accepted.request
        return f"{self.accepted.id} ({request.tensorflow_recipe or request.kind.name.lower()}, {request.behavior})"

    def restored_during(self, began: float, ended: float) -> bool:
        """Return whether the job's record was restored in that time, after Redis lost it."""
        return any(event.data.get("restored") for event in self.history.states if began <= event.at <= ended)

    @cached_property
    def result_digest(self) -> str | None:
        """The sha256 of the published result, None without one, "missing" if its blob is not in the store."""
        return self._digest(self.job.result) if self.job and self.job.result else None

    @cached_property
    def reference_digest(self) -> str | None:
        """The sha256 of the same step's image in a run without faults, None if the job published no step."""
        if self.job is None or self.job.stopped_at_step is None:
            return None
        return self._reference(self.job.request, self.job.stopped_at_step)

    @cached_property
    def differing_iterations(self) -> list[int]:
        """The saved iterations that differ from those of a run without faults, or are not in the store."""
        if self.job is None:
            return []
        request, saved = self.job.request, self.job.iterations
        return [
            step for step in saved.steps if self._digest(saved.key(request.id, step)) != self._reference(request, step)
        ]

    def _digest(self, key: str) -> str:
        """Return the sha256 of a blob, "missing" if it is not in the store."""
        try:
            return hashlib.sha256(self.blobs.get(key)).hexdigest()
        except BlobMissing:
            return "missing"

    def _reference(self, request: JobRequest, step: int) -> str:
        if self.accepted.request.tensorflow_recipe:
            return self.reference_digests[self.accepted.request.tensorflow_recipe][step]
        content, *styles = (pixels(self.blobs.get(keys.input_image(sha))) for sha in (request.content, *request.styles))
        return reference_digest(content, styles, request.recipe, step)


@dataclass(frozen=True)
class Evidence:
    """All that the audit of one stack reads."""

    store: str
    cases: list[Case]
    fault_log: FaultLog
    stall_detector: StallDetector
    required_faults: Sequence[str]
    unaccepted_jobs: int = 0  # jobs that were rendered although no client got a 202 for them
    deliveries: Sequence[Delivery] = ()
    batches: Mapping[str, int] = field(default_factory=dict)  # the number of jobs in each batch in the ledger
    foreign_jobs: Sequence[str] = ()  # a message for each job that another tenant saw


def collect_evidence(stack: ChaosStack, clients: Clients, required_faults: Sequence[str]) -> Evidence:
    """Collect everything from a stack that still runs and has settled."""
    accepted = clients.accepted
    histories = read_histories(stack.folder / "valkey")
    references = stack.config.references
    digests = json.loads((references / REFERENCE_DIGESTS).read_text()) if references else {}
    cases = [
        Case(job, _record(stack, job_id), histories.get(job_id) or JobHistory(job_id), stack.store.blobs, digests)
        for job_id, job in accepted.items()
    ]
    for case in cases:  # compute these now: the blobs disappear with the stack
        _ = case.differing_iterations
        if case.result_digest:
            _ = case.reference_digest
    unaccepted = sum(bool(history.claims) for job_id, history in histories.items() if job_id not in accepted)
    batches = Counter(job.request.batch for job in stack.services.ledger.list(limit=_ALL) if job.request.batch)
    seen = clients.receiver.deliveries, batches, clients.foreign_jobs
    return Evidence(
        stack.config.store, cases, stack.fault_log, stack.stall_detector, required_faults, unaccepted, *seen
    )


def _record(stack: ChaosStack, job_id: str) -> Job | None:
    try:
        return stack.services.ledger.get(job_id)
    except JobNotFound:
        return None
