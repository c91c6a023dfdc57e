"""All operations together: the transition table, and operations in any order."""

import contextlib
from typing import get_args

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.fixtures.ledger import TIERS, claim, request, submit

from easel.models import TERMINAL, JobState, Progress
from shared.errors import ClaimLost, NotReady, WrongState
from shared.jobs.estimate import MemoryKind
from shared.jobs.job import TRANSITIONS, WEBHOOK_EVENTS
from shared.ledger.ledger import NAMESPACE, Claim, Ledger, connect

MEMORY_KINDS: tuple[MemoryKind, ...] = get_args(MemoryKind)


@pytest.mark.parametrize("before", list(JobState))
@pytest.mark.parametrize("after", list(JobState))
def test_the_scripts_enforce_the_transition_table(
    before: JobState, after: JobState, ledger: Ledger, valkey_url: str
) -> None:
    job_id = submit(ledger)
    claimed = claim(ledger)
    connect(valkey_url).hset(f"{NAMESPACE}:job:{job_id}", "state", before)
    if after in TRANSITIONS[before]:
        ledger.end_job(claimed, after)
        assert ledger.get(job_id).state is after
    else:
        with pytest.raises(redis.ResponseError, match="illegal transition"):
            ledger.end_job(claimed, after)


class Queue(RuleBasedStateMachine):
    """After any sequence of operations every job is in exactly one place, and held by at most one worker."""

    url = ""
    jobs: Bundle[str] = Bundle("jobs")
    claims: Bundle[Claim] = Bundle("claims")

    @initialize()
    def empty(self) -> None:
        self.client = connect(self.url)
        self.client.flushall()
        self.ledger, self.ended = Ledger(self.client), dict[str, JobState]()
        self.ledger.ensure_identity("test")
        self.ids: list[str] = []

    @rule(
        target=jobs,
        tier=st.sampled_from(TIERS),
        peak=st.integers(0, 3),
        gpu_peak=st.integers(0, 3),
        events=st.lists(st.sampled_from(WEBHOOK_EVENTS), unique=True),
    )
    def submit(self, tier: str, peak: int, gpu_peak: int, events: list[str]) -> str:
        self.ids.append(submit(self.ledger, request(tier, peak=peak, gpu_peak=gpu_peak, events=tuple(events))))
        return self.ids[-1]

    @rule(
        target=claims, lease=st.sampled_from([-1.0, 60.0]), memory=st.integers(0, 3), kind=st.sampled_from(MEMORY_KINDS)
    )
    def claim(self, lease: float, memory: int, kind: MemoryKind) -> Claim | None:
        fitting = [i for i in self._queued_ids() if not memory or self._peak(i, kind) <= memory]
        claim = self.ledger.claim("w", TIERS, lease_seconds=lease, memory_bytes=memory, memory_kind=kind)
        assert [claim.job.id if claim else None] == (fitting or [None])[:1]
        return claim

    @rule(claimed=claims, lease=st.sampled_from([-1.0, 60.0]), step=st.integers(0, 3))
    def renew(self, claimed: Claim | None, lease: float, step: int) -> None:
        self._assert_fenced(
            claimed, lambda h: self.ledger.renew(h, lease_seconds=lease, progress=Progress(current=step, total=9))
        )

    @rule(claimed=claims, state=st.sampled_from(sorted(TERMINAL)))
    def end_job(self, claimed: Claim | None, state: JobState) -> None:
        if claimed and self.ledger.get(claimed.job.id).claim == claimed.token:
            self.ledger.end_job(claimed, state, result=claimed.token)
        else:
            self._assert_fenced(claimed, lambda h: self.ledger.end_job(h, state, result="zombie"))

    @rule(claimed=claims, place=st.sampled_from(["head", "tail"]))
    def release(self, claimed: Claim | None, place: str) -> None:
        self._assert_fenced(claimed, lambda h: self.ledger.release(h, place=place))  # type: ignore[arg-type]

    @rule(job_id=jobs, action=st.sampled_from(["cancel", "finish"]))
    def request_control(self, job_id: str, action: str) -> None:
        with contextlib.suppress(WrongState, NotReady):
            self.ledger.request_control(job_id, action)  # type: ignore[arg-type]

    @rule()
    def reap(self) -> None:
        self.ledger.reap_expired_leases()

    def _peak(self, job_id: str, kind: MemoryKind) -> int:
        job = self.ledger.get(job_id)
        return job.peak_gpu_memory_bytes if kind == "gpu" else job.peak_memory_bytes

    def _queued_ids(self) -> list[str]:
        return [i for tier in TIERS for i in self.client.zrange(f"{NAMESPACE}:queue:{tier}", 0, -1)]

    def _assert_fenced(self, claimed: Claim | None, operation: object) -> None:
        if claimed is None:
            return
        is_held = self.ledger.get(claimed.job.id).claim == claimed.token
        try:
            operation(claimed)  # type: ignore[operator]
        except ClaimLost:
            assert not is_held
        else:
            assert is_held or self.ledger.get(claimed.job.id).state in TERMINAL

    @invariant()
    def every_job_is_in_exactly_one_place(self) -> None:
        if not hasattr(self, "ids"):
            return
        queued = self._queued_ids()
        leased = self.client.zrange(f"{NAMESPACE}:leases", 0, -1)
        for job in self.ledger.list(limit=1000):
            assert (job.id in queued) == (job.state is JobState.QUEUED)
            assert (job.id in leased) == (job.state is JobState.RUNNING) == (job.claim is not None)
            assert job.result != "zombie"
            assert self.ended.setdefault(job.id, job.state) == job.state or self.ended[job.id] not in TERMINAL
            self.ended[job.id] = job.state
        assert len(queued) == len(set(queued))
        assert {job.id for job in self.ledger.list(limit=1000)} == set(self.ids)

    @invariant()
    def the_outbox_holds_the_events_that_happened_and_were_subscribed_to(self) -> None:
        if not hasattr(self, "ids"):
            return
        expected = {
            (job.id, event)
            for job in self.ledger.list(limit=1000)
            for event in (f"job.{job.state}", *(["job.started"] if job.started_at else []))
            if job.request.webhook and event in job.request.webhook.events
        }
        names = [name.rpartition("-") for name in self.client.zrange(f"{NAMESPACE}:outbox", 0, -1)]
        assert {(job_id, f"job.{kind}") for job_id, _, kind in names} == expected


def test_no_sequence_of_operations_breaks_the_queue(valkey_url: str) -> None:
    Queue.url = valkey_url
    run_state_machine_as_test(
        Queue,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
