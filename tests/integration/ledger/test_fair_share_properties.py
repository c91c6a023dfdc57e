"""The order of the jobs of one tenant, after any sequence of operations."""

from typing import Any, Literal

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.fixtures.ledger import submit
from support.tenants import end_slice, of, progress, queued

from easel.models import JobState
from shared.ledger.ledger import Claim, Ledger, connect


class Model:
    """The queue of a single tenant as it was before tenants shared the tiers: a counter orders it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.count = ledger, 0
        self.orders: dict[str, int] = {}  # of queued jobs
        self.running: list[tuple[Claim, int]] = []

    def submit(self, steps: int) -> None:
        self._enqueue(submit(self.ledger, of("only", steps), limit=10_000))

    def claim(self) -> None:
        if claimed := self.ledger.claim("w", ("standard",), lease_seconds=60):
            self.running.append((claimed, self.orders.pop(claimed.job.id)))

    def release(self, number: int, fraction: float, place: Literal["head", "tail"]) -> None:
        if not self.running:
            return
        claimed, order = self.running.pop(number % len(self.running))
        end_slice(self.ledger, claimed, max(fraction, claimed.job.progress.percentage / 100), place)
        if place == "head":
            self.orders[claimed.job.id] = order
        else:
            self._enqueue(claimed.job.id)

    def cancel(self, number: int) -> None:
        if self.orders:
            job_id = [*self.orders][number % len(self.orders)]
            del self.orders[job_id]
            self.ledger.request_control(job_id, "cancel")

    def _enqueue(self, job_id: str) -> None:
        self.count += 1
        self.orders[job_id] = self.count


NUMBERS, FRACTIONS = st.integers(0, 9), st.floats(0, 1)
ACTIONS = st.one_of(
    st.tuples(st.just("submit"), st.integers(1, 300)),
    st.tuples(st.just("claim")),
    st.tuples(st.just("release"), NUMBERS, FRACTIONS, st.sampled_from(["head", "tail"])),
    st.tuples(st.just("cancel"), NUMBERS),
)


TWO_DRAINS = [("submit", 100), ("submit", 9), ("claim",), ("claim",), ("release", 0, 0.9, "head"), ("submit", 5)]


@given(actions=st.lists(ACTIONS, min_size=10, max_size=60))
@example(actions=[*TWO_DRAINS, ("release", 0, 0.0, "head")])
@settings(max_examples=100, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_order_of_a_single_tenant_is_that_of_a_counter(
    actions: list[tuple[Any, ...]], ledger: Ledger, valkey_url: str
) -> None:
    connect(valkey_url).flushall()
    ledger.ensure_identity("test")
    model = Model(ledger)
    for name, *arguments in actions:
        getattr(model, name)(*arguments)
        assert queued(ledger) == sorted(model.orders, key=model.orders.__getitem__)


@given(
    actions=st.lists(
        st.one_of(
            st.tuples(st.just("submit"), st.sampled_from("abc"), st.integers(1, 300)),
            st.tuples(st.just("claim")),
            st.tuples(st.just("cancel"), NUMBERS),
            st.tuples(st.just("end"), FRACTIONS),
        ),
        min_size=10,
        max_size=60,
    )
)
@settings(max_examples=100, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
def test_jobs_of_each_tenant_are_claimed_in_the_order_of_their_submission(
    actions: list[tuple[Any, ...]], ledger: Ledger, valkey_url: str
) -> None:
    connect(valkey_url).flushall()
    ledger.ensure_identity("test")
    waiting: dict[str, list[str]] = {tenant: [] for tenant in "abc"}
    running: list[Claim] = []
    for name, *arguments in actions:
        if name == "submit":
            waiting[arguments[0]].append(submit(ledger, of(*arguments), limit=10_000))
        elif name == "claim" and (claimed := ledger.claim("w", ("standard",), lease_seconds=60)):
            assert claimed.job.id == waiting[claimed.job.tenant].pop(0)
            running.append(claimed)
        elif name == "cancel" and (ids := queued(ledger)):
            canceled = ids[arguments[0] % len(ids)]
            waiting[ledger.get(canceled).tenant].remove(canceled)
            ledger.request_control(canceled, "cancel")
        elif name == "end" and running:
            ended = running.pop(0)
            ledger.end_job(ended, JobState.FAILED, progress=progress(ended, arguments[0]))
