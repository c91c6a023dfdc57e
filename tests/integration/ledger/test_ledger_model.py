"""The Lua scripts and a model of them in Python give the same replies, order, owners, states and counts."""

import os
from collections.abc import Callable
from itertools import product
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from support.fixtures.ledger import TIERS
from support.ledger_model import LedgerModel, ModelJob
from support.tenants import of

from easel.models import TERMINAL, JobState, Progress
from shared import errors
from shared.jobs.estimate import cost, pixel_evaluations
from shared.ledger.ledger import NAMESPACE, Claim, Ledger, connect

TENANTS = ("default", "b", "c")
LISTS = [(state, tenant) for state, tenant in product(JobState, (None, *TENANTS))]
OUTCOMES: dict[type[errors.EaselError], str | None] = {
    errors.IdempotencyKeyReused: "conflict",
    errors.QueueFull: "queue_full",
    errors.TooManyQueuedJobs: "too_many_queued",
    errors.DailyQuotaExceeded: "daily_quota",
    errors.ClaimLost: None,
    errors.JobNotFound: "missing",
    errors.WrongState: "running",  # of a job that cannot be deleted
    errors.NotReady: "no_image",
}
RECORD = ("state", "claim", "last_claim", "order", "claims", "leases_lost", "completed_at")
PERCENTAGES = st.integers(0, 100) | st.just(100)


def outcome(operation: Callable[[], Any]) -> Any:
    """Return what the operation returns, or the script's name for what it raises."""
    try:
        return operation()
    except tuple(OUTCOMES) as error:
        return OUTCOMES[type(error)]


def done(percentage: float) -> Progress:
    return Progress(current=int(percentage > 0), total=100, percentage=percentage)


class Comparison(RuleBasedStateMachine):
    """Every operation is done on both."""

    url = ""
    jobs: Bundle[str] = Bundle("jobs")
    claims: Bundle[Claim] = Bundle("claims")

    @initialize()
    def empty(self) -> None:
        self.client: Any = connect(self.url)
        self.client.flushall()
        self.ledger, self.model = Ledger(self.client), LedgerModel()
        self.ledger.ensure_identity("test")

    @rule(
        target=jobs,
        tier=st.sampled_from(TIERS),
        tenant=st.sampled_from(TENANTS),
        steps=st.integers(1, 300),
        peak=st.integers(0, 3),
        key=st.sampled_from(("", "", "", "k")),
        digest=st.sampled_from("de"),
        limits=st.tuples(*[st.sampled_from(few) for few in ((99, 99, 4), (0, 0, 2), (0, 0, 1_000_000))]),
        count=st.sampled_from((1, 1, 1, 2, 3)),
    )
    def submit(  # noqa: PLR0917 - hypothesis passes them by name
        self,
        tier: str,
        tenant: str,
        steps: int,
        peak: int,
        key: str,
        digest: str,
        limits: tuple[int, int, int],
        count: int,
    ) -> Any:
        fields = {"tier": tier, "digest": digest, "peak_memory_bytes": peak, "idempotency_key": key or None}
        requests = [of(tenant, steps + number).model_copy(update=fields) for number in range(count)]
        if count > 1:
            requests = [one.model_copy(update={"batch": f"batch-{requests[0].id}"}) for one in requests]
        sizes = [(one.recipe, one.width, one.height) for one in requests]
        jobs = [
            ModelJob(one.id, tenant, tier, cost(*size), peak, key, one.batch or "")
            for one, size in zip(requests, sizes, strict=True)
        ]
        status = self.model.submit(jobs, digest, sum(round(pixel_evaluations(*size)) for size in sizes), limits)
        limit, tenant_limit, daily = limits
        options = {"tenant_queue_limit": tenant_limit, "pixel_evaluations_per_day": daily}
        reply = outcome(lambda: self.ledger.submit(*requests, queue_limit=limit, remember_seconds=9999, **options))
        expected = {"created": (self.model.created_id, True), "replayed": (self.model.created_id, False)}
        assert reply == expected.get(status, status)
        return multiple(*(job.id for job in jobs))

    @rule(
        target=claims,
        tiers=st.sampled_from((TIERS, TIERS[::-1], TIERS[:1])),
        expired=st.booleans(),
        memory=st.integers(0, 3),
        running_limit=st.sampled_from((0, 0, 1, 2)),
    )
    def claim(self, tiers: tuple[str, ...], expired: bool, memory: int, running_limit: int) -> Claim | None:  # noqa: FBT001 - hypothesis passes it by name
        lease = -1.0 if expired else 600.0
        claim = self.ledger.claim("w", tiers, lease_seconds=lease, memory_bytes=memory, running_limit=running_limit)
        token = claim.token if claim else "none"
        job_id = self.model.claim(tiers, token, expired=expired, memory=memory, running_limit=running_limit)
        assert (claim.job.id if claim else None) == job_id
        return claim

    @rule(claim=claims, expired=st.booleans(), percentage=PERCENTAGES)
    def renew(self, claim: Claim | None, expired: bool, percentage: int) -> None:  # noqa: FBT001 - the same
        if claim:
            lease = -1.0 if expired else 600.0
            flags = outcome(lambda: self.ledger.renew(claim, lease_seconds=lease, progress=done(percentage)))
            expected = self.model.renew(claim.job.id, claim.token, percentage, expired=expired)
            assert (flags and (flags.cancel, flags.others_waiting)) == (expected and (expected[0], expected[1] > 0))

    @rule(claim=claims, place=st.sampled_from(("head", "tail")), percentage=PERCENTAGES)
    def release(self, claim: Claim | None, place: Literal["head", "tail"], percentage: int) -> None:
        if claim:
            released = outcome(lambda: self.ledger.release(claim, place=place, progress=done(percentage)) or True)
            assert bool(released) == self.model.release(claim.job.id, claim.token, place, percentage)

    @rule(claim=claims, state=st.sampled_from(sorted(TERMINAL)), percentage=PERCENTAGES)
    def end_job(self, claim: Claim | None, state: JobState, percentage: int) -> None:
        if claim:
            ended = outcome(lambda: self.ledger.end_job(claim, state, progress=done(percentage)) or True)
            assert bool(ended) == bool(self.model.end_job(claim.job.id, claim.token, state, percentage))

    @rule(claim=claims)
    def take_back(self, claim: Claim | None) -> None:
        if claim:
            state = self.ledger.take_back(claim.job.id, claim.token)
            assert state == self.model.take_back(claim.job.id, claim.token)

    @rule()
    def reap(self) -> None:
        assert self.ledger.reap_expired_leases() == self.model.reap_expired_leases()

    @rule(job_id=jobs, action=st.sampled_from(("cancel", "finish")))
    def request_control(self, job_id: str, action: Literal["cancel", "finish"]) -> None:
        expected = self.model.request_control(job_id, action)
        reply = outcome(lambda: self.ledger.request_control(job_id, action))
        refused = {"missing": "missing", "no_image": "no_image", "ended": "running"}
        assert (reply if isinstance(reply, str) else None) == refused.get(expected)

    @rule(job_id=jobs)
    def delete(self, job_id: str) -> None:
        assert (outcome(lambda: self.ledger.delete(job_id)) or "deleted") == self.model.delete(job_id)

    @rule(tenant=st.sampled_from(TENANTS), limit=st.sampled_from((None, 0, 1)))
    def set_running_limit(self, tenant: str, limit: int | None) -> None:
        self.ledger.set_running_limit(tenant, limit)
        self.model.running_limits.pop(tenant, None)
        if limit is not None:
            self.model.running_limits[tenant] = limit

    @invariant()
    def both_have_the_same_jobs_in_the_same_order(self) -> None:
        if not hasattr(self, "model"):
            return
        model, pipe = self.model, self.client.pipeline(transaction=False)
        for job_id in model.jobs:
            pipe.hmget(f"{NAMESPACE}:job:{job_id}", *RECORD)
        for tier in TIERS:
            pipe.zrange(f"{NAMESPACE}:queue:{tier}", 0, -1)
        for state, tenant in LISTS:
            pipe.zcard(f"{NAMESPACE}{f':tenant:{tenant}' if tenant else ''}:jobs:{state}")
        pipe.zrange(f"{NAMESPACE}:leases", 0, -1)
        pipe.zrange(f"{NAMESPACE}:contact_sheets", 0, -1)
        pipe.zcard(f"{NAMESPACE}:jobs")
        *replies, leases, sheets, count = pipe.execute()
        fields = [
            [j.state, j.token, j.last_token, j.order, j.claims, j.leases_lost, j.state in TERMINAL]
            for j in model.jobs.values()
        ]
        queues = [[job.id for job in model.queue(tier)] for tier in TIERS]
        counts = [model.count(*each) for each in LISTS]
        records = [
            [state, claim or "", last_claim or "", *(int(number or 0) for number in numbers), completed_at is not None]
            for state, claim, last_claim, *numbers, completed_at in replies[: len(fields)]
        ]
        assert [*records, *replies[len(fields) :]] == [*fields, *queues, *counts]
        assert set(sheets) == model.wanted_sheets
        assert sorted(leases) == sorted(job.id for job in model.jobs.values() if job.state == "running")
        assert count == len(model.jobs)
        of_b = [job.id for job in model.jobs.values() if job.tenant == "b"]
        assert self.ledger.list_ids(tenant="b", limit=99) == sorted(of_b, reverse=True)


@pytest.mark.timeout(0 if "EXAMPLES" in os.environ else 300)
def test_the_scripts_do_what_the_model_does(valkey_url: str) -> None:
    Comparison.url = valkey_url
    examples = int(os.environ.get("EXAMPLES", "60"))
    run_state_machine_as_test(
        Comparison,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            derandomize="EXAMPLES" not in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
