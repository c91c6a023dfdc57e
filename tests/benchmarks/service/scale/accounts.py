"""Accounts for every job at the end: the ledger's records, the blobs, and the history of every write."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from chaos.audit.job_history import JobHistory
from chaos.clients.images import photo, pixels
from chaos.stack.engine import reference_digest

from easel.models import TERMINAL, JobState
from shared.jobs.job import Job
from shared.services import Services


@dataclass
class Accounts:
    """What became of the jobs. All but `jobs` and `succeeded` should be 0."""

    jobs: int = 0
    succeeded: int = 0
    lost: int = 0
    """Not ended, or without a record."""
    failed: int = 0
    duplicated: int = 0
    """Ended twice, or with two results."""
    stale_writes: int = 0
    """By a worker that did not hold the claim."""
    differing: int = 0
    """The result differs, in its bytes, from that of an undisturbed run."""
    notes: list[str] = field(default_factory=list)

    @cached_property
    def clean(self) -> bool:
        """Whether every job is accounted for."""
        return self.succeeded == self.jobs and not (self.duplicated or self.stale_writes or self.differing)

    def add(self, job_id: str, job: Job | None, history: JobHistory | None, *, expected: bool) -> None:
        """Add one job; `expected`: whether its result has the bytes of an undisturbed run."""
        self.jobs += 1
        ended = job is not None and job.state in TERMINAL
        succeeded = job is not None and job.state is JobState.SUCCEEDED
        self.succeeded += succeeded
        self.lost += not ended
        self.failed += ended and not succeeded
        self.differing += succeeded and not expected
        ends, results = (len(history.ends), len(history.results)) if history else (0, 0)
        self.duplicated += ends > 1 or results > 1
        self.stale_writes += len(history.stale_writes) if history else 0
        if job is None or not succeeded or not expected or ends != 1:
            self.notes.append(f"{job_id}: {job.state if job else 'no record'}, {ends} ends, {results} results")

    def row(self) -> dict[str, int]:
        """Return the counts."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int) and name != "clean"}


def account(
    services: Services, job_ids: Sequence[str], histories: Mapping[str, JobHistory], references: Mapping[str, str]
) -> Accounts:
    """Account for these jobs. `references`: expected digests; the others' images are computed."""
    accounts = Accounts()
    jobs = {job.id: job for job in services.ledger.get_many(job_ids)}
    for job_id in job_ids:
        job = jobs.get(job_id)
        expected = bool(job and job.result) and _digest(services, job) == (references.get(job_id) or _reference(job))
        accounts.add(job_id, job, histories.get(job_id), expected=expected)
    return accounts


def fairness(claims: Iterable[str]) -> float:
    """Return Jain's index of the numbers of claims by worker: 1 if all have the same, 1/n if one has all."""
    counts = Counter(claims).values()
    return sum(counts) ** 2 / (len(counts) * sum(count**2 for count in counts))


def overtakings(starts: Sequence[float]) -> int:
    """Return how many jobs began before the one that was submitted just before them."""
    return sum(later < earlier for earlier, later in pairwise(starts))


def _digest(services: Services, job: Any) -> str:
    return hashlib.sha256(services.blobs.get(job.result)).hexdigest()


def _reference(job: Any) -> str:
    return reference_digest(pixels(photo(0)), [pixels(photo(1))], job.request.recipe, job.request.recipe.total_steps)
