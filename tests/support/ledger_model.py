"""A model of the ledger in plain Python: what its Lua scripts do to the states, the owners and the order of jobs."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ACTIVE = {"queued", "running"}


@dataclass
class ModelJob:
    """One job."""

    id: str
    tenant: str
    tier: str
    cost: int
    peak: int
    key: str
    batch: str = ""
    state: str = "queued"
    order: int = 0
    percentage: float = 0.0
    token: str = ""
    last_token: str = ""  # of a claim that was taken back
    ended_by: str = ""
    cancel_requested: bool = False
    claims: int = 0
    leases_lost: int = 0
    charged: int | None = None
    cost_at_claim: int = 0

    @property
    def remaining_cost(self) -> int:
        return math.ceil(self.cost * (1 - self.percentage / 100))

    @property
    def used(self) -> int:
        """The cost of what was done under the claim."""
        return self.cost_at_claim - self.remaining_cost


class LedgerModel:
    """Each method does what the script of that name does, and returns what it returns."""

    def __init__(self) -> None:
        self.jobs: dict[str, ModelJob] = {}
        self.created_id = ""
        self.wanted_sheets = set[str]()  # batches whose last job has ended
        self.running_limits: dict[str, int] = {}
        self._keys: dict[tuple[str, str], tuple[str, str]] = {}
        self._evaluations: Counter[str] = Counter()
        self._virtual_time: Counter[str] = Counter()
        self._share_ends: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._slice_cost: dict[str, int] = {}
        self._expired: list[str] = []  # running jobs, in the order in which their leases expired

    def queue(self, tier: str, tenant: str | None = None) -> list[ModelJob]:
        """Return the queued jobs of a tier, or those of one tenant, in the order in which they are claimed."""
        jobs = (job for job in self.jobs.values() if job.state == "queued" and job.tier == tier)
        return sorted((j for j in jobs if tenant in {None, j.tenant}), key=lambda job: (job.order, job.id))

    def count(self, state: str, tenant: str | None = None) -> int:
        return sum(job.state == state and tenant in {None, job.tenant} for job in self.jobs.values())

    def submit(self, jobs: Sequence[ModelJob], digest: str, evaluations: int, limits: tuple[int, int, int]) -> str:
        """Submit one job, or several of a batch. `created_id` then has the ID for a key."""
        limit, tenant_limit, daily_limit = limits
        first = jobs[0]
        if first.key and (earlier := self._keys.get((first.tenant, first.key))):
            self.created_id = earlier[1]
            return "replayed" if earlier[0] == digest else "conflict"
        if self.count("queued") + len(jobs) > limit:
            return "queue_full"
        if tenant_limit and self.count("queued", first.tenant) + len(jobs) > tenant_limit:
            return "too_many_queued"
        if daily_limit and self._evaluations[first.tenant] + evaluations > daily_limit:
            return "daily_quota"
        self._evaluations[first.tenant] += evaluations
        for job in jobs:
            self._enqueue(job)
            self.jobs[job.id] = job
        self.created_id = first.batch or first.id
        if first.key:
            self._keys[first.tenant, first.key] = digest, self.created_id
        return "created"

    def claim(self, tiers: Iterable[str], token: str, *, expired: bool, memory: int, running_limit: int) -> str | None:
        def fits(job: ModelJob) -> bool:
            limit = self.running_limits.get(job.tenant, running_limit)
            return (not memory or job.peak <= memory) and (not limit or self.count("running", job.tenant) < limit)

        job = next((job for tier in tiers for job in self.queue(tier) if fits(job)), None)
        if job is None:
            return None
        share_end = max(self._share_end(job), job.order + self._charge(job))
        job.charged, job.cost_at_claim = self._charge(job), job.remaining_cost
        job.state, job.token, job.claims = "running", token, job.claims + 1
        self._renew_lease(job, expired=expired)
        now = self._virtual_time[job.tier] = max(self._virtual_time[job.tier], job.order)
        ends = {**self._share_ends[job.tier], job.tenant: share_end} if self.queue(job.tier) else {}
        self._share_ends[job.tier] = {tenant: end for tenant, end in ends.items() if end > now}
        self._pull_forward(job)
        return job.id

    def renew(self, job_id: str, token: str, percentage: float, *, expired: bool) -> tuple[bool, int] | None:
        if (job := self._held(job_id, token)) is None:
            return None
        job.percentage = percentage
        self._renew_lease(job, expired=expired)
        return job.cancel_requested, len(self.queue(job.tier))

    def release(self, job_id: str, token: str, place: str, percentage: float) -> bool:
        if (job := self._held(job_id, token)) is None:
            return False
        job.percentage = percentage
        self._requeue(job, place)
        return True

    def end_job(self, job_id: str, token: str, state: str, percentage: float) -> str | None:
        job = self.jobs.get(job_id)
        if job and job.ended_by == token:
            return job.state
        if (job := self._held(job_id, token)) is None:
            return None
        job.ended_by, job.token, job.percentage = token, "", percentage
        self._end(job, "canceled" if job.cancel_requested else state)
        return job.state

    def request_control(self, job_id: str, action: str) -> str:
        job = self.jobs.get(job_id)
        if job is None or job.state not in ACTIVE:
            return "ended" if job else "missing"
        if action == "finish":
            return "requested" if job.percentage else "no_image"
        job.cancel_requested = True
        if job.state == "queued":
            self._end(job, "canceled")
        return "requested"

    def take_back(self, job_id: str, token: str) -> str | None:
        if (job := self._held(job_id, token)) is None:
            return None
        job.leases_lost, job.last_token = job.leases_lost + 1, token
        self._requeue(job, "head")
        return job.state

    def reap_expired_leases(self) -> dict[str, str | None]:
        return {job_id: self.take_back(job_id, self.jobs[job_id].token) for job_id in [*self._expired]}

    def delete(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None or job.state in ACTIVE:
            return "running" if job else "missing"
        del self.jobs[job_id]
        is_last = not job.batch or all(other.batch != job.batch for other in self.jobs.values())
        if is_last and self._keys.get((job.tenant, job.key), ("", ""))[1] == (job.batch or job_id):
            del self._keys[job.tenant, job.key]
        return "deleted"

    def _held(self, job_id: str, token: str) -> ModelJob | None:
        job = self.jobs.get(job_id)
        return job if job and job.token == token else None

    def _renew_lease(self, job: ModelJob, *, expired: bool) -> None:
        self._expired = [job_id for job_id in self._expired if job_id != job.id] + [job.id] * expired

    def _requeue(self, job: ModelJob, place: str) -> None:
        self._renew_lease(job, expired=False)
        job.token = ""
        if job.cancel_requested:
            self._end(job, "canceled")
            return
        if place == "tail":
            self._slice_cost[job.tier] = max(1, job.used, self._slice_cost.get(job.tier, 0))
            self._settle(job)
            job.charged = None
            self._enqueue(job)
        job.state = "queued"

    def _end(self, job: ModelJob, state: str) -> None:
        queued, job.state = job.state == "queued", state
        self._renew_lease(job, expired=False)
        self._settle(job)
        if queued:
            self._pull_forward(job)
        if job.batch and all(other.state not in ACTIVE for other in self.jobs.values() if other.batch == job.batch):
            self.wanted_sheets.add(job.batch)

    # Start-time fair queueing, as fair_share.lua describes it.

    def _share_end(self, job: ModelJob) -> int:
        return max(self._virtual_time[job.tier] + 1, self._share_ends[job.tier].get(job.tenant, 0))

    def _charge(self, job: ModelJob) -> int:
        return max(1, min(job.remaining_cost, self._slice_cost.get(job.tier, 2**53)))

    def _enqueue(self, job: ModelJob) -> None:
        earlier = self.queue(job.tier, job.tenant)
        behind = earlier[-1].order + self._charge(earlier[-1]) if earlier else 0
        job.order = max(self._share_end(job), behind)

    def _pull_forward(self, job: ModelJob) -> None:
        for first in self.queue(job.tier, job.tenant)[:1]:
            first.order = min(first.order, self._share_end(job))

    def _settle(self, job: ModelJob) -> None:
        ends = self._share_ends[job.tier]
        if job.charged is not None and job.tenant in ends:
            ends[job.tenant] += job.used - job.charged
            self._pull_forward(job)
