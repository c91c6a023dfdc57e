"""Changes of jobs are counted once, as what they turned out to be, and calls of Redis with their errors."""

from collections.abc import Callable

import pytest
from support.fixtures.ledger import claim, request, submit

from deploy.local.stack import free_port
from easel.models import JobError, JobState
from shared.errors import ClaimLost, LedgerUnavailable, WrongState
from shared.ledger.ledger import Ledger, connect
from shared.metrics.instruments import REGISTRY

Growth = Callable[..., float]


def value(name: str, **labels: str) -> float:
    samples = [sample for metric in REGISTRY.collect() for sample in metric.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


@pytest.fixture
def growth() -> Growth:
    """Return a function that says how much a counter has grown in this test."""
    earlier = [(sample.name, sample.labels, sample.value) for metric in REGISTRY.collect() for sample in metric.samples]

    def grown(name: str, **labels: str) -> float:
        before = [count for other, found, count in earlier if other == name and labels.items() <= found.items()]
        return value(name, **labels) - sum(before)

    return grown


def test_a_cancel_that_comes_before_the_result_counts_as_canceled(ledger: Ledger, growth: Growth) -> None:
    submit(ledger)
    held = claim(ledger)
    ledger.request_control(held.job.id, "cancel")
    assert growth("easel_jobs_ended_total") == 0
    ledger.end_job(held, JobState.SUCCEEDED)
    assert growth("easel_jobs_ended_total", state="canceled") == growth("easel_jobs_ended_total") == 1


def test_a_queued_job_that_is_canceled_counts_once(ledger: Ledger, growth: Growth) -> None:
    job_id = submit(ledger)
    ledger.request_control(job_id, "cancel")
    with pytest.raises(WrongState):
        ledger.request_control(job_id, "cancel")
    assert growth("easel_jobs_submitted_total", tier="standard", preset="fast") == 1
    assert growth("easel_jobs_ended_total", state="canceled", preset="fast") == 1


def test_a_claim_that_was_taken_back_ends_no_job(ledger: Ledger, growth: Growth) -> None:
    submit(ledger)
    held = claim(ledger)
    ledger.take_back(held.job.id, held.token)
    with pytest.raises(ClaimLost):
        ledger.end_job(held, JobState.SUCCEEDED)
    assert ledger.take_back(held.job.id, held.token) is None
    assert growth("easel_jobs_ended_total") == 0
    assert growth("easel_leases_lost_total", reason="child_died") == 1


def test_a_job_of_a_dead_worker_that_was_to_be_canceled_counts_as_canceled(ledger: Ledger, growth: Growth) -> None:
    submit(ledger)
    held = claim(ledger, lease=0.001)
    ledger.request_control(held.job.id, "cancel")
    while not ledger.reap_expired_leases():
        pass
    assert growth("easel_jobs_ended_total", state="canceled") == 1
    assert growth("easel_leases_lost_total", reason="expired") == 1


def test_a_failure_counts_with_its_code_and_the_time_that_the_job_ran(ledger: Ledger, growth: Growth) -> None:
    submit(ledger)
    error = JobError(code="diverged", detail="Lower the weights.")
    ledger.end_job(claim(ledger), JobState.FAILED, error=error, run_seconds=7.0)
    assert growth("easel_jobs_ended_total", state="failed", code="diverged") == 1
    assert growth("easel_job_run_seconds_sum", preset="fast") == 7
    assert growth("easel_job_wait_seconds_count", tier="standard") == 1


def test_a_submission_that_is_repeated_with_its_idempotency_key_counts_once(ledger: Ledger, growth: Growth) -> None:
    for _ in range(2):
        submit(ledger, request(key="k"))
    assert growth("easel_jobs_submitted_total") == 1


def test_calls_of_a_redis_that_is_down_count_as_errors(growth: Growth) -> None:
    with pytest.raises(LedgerUnavailable):
        Ledger(connect(f"redis://127.0.0.1:{free_port()}/0")).identity()
    assert growth("easel_redis_errors_total", code="ledger_unavailable") == 1
    assert growth("easel_redis_call_seconds_count") == 1
