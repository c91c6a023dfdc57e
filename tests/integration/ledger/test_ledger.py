"""Each operation of the ledger, on a real Valkey."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.fixtures.ledger import TIERS, claim, request, submit

from easel.models import JobState, Progress
from shared.errors import ClaimLost, IdempotencyKeyReused, JobNotFound, NotReady, QueueFull, WrongState
from shared.jobs.events import JobEvents
from shared.ledger.ledger import NAMESPACE, ControlFlags, Ledger, connect
from shared.ledger.queue_stats import QueueStats


def test_jobs_are_claimed_in_order_and_the_first_tier_first(ledger: Ledger) -> None:
    late, first, second = submit(ledger, request("batch")), submit(ledger), submit(ledger)
    assert [claim(ledger).job.id for _ in range(3)] == [first, second, late]
    assert ledger.claim("w", TIERS, lease_seconds=60) is None


def test_concurrent_workers_never_claim_the_same_job(ledger: Ledger) -> None:
    ids = {submit(ledger) for _ in range(40)}
    start = threading.Barrier(8)

    def worker(number: int) -> list[str]:
        start.wait()
        claimed_ids = []
        while claimed := ledger.claim(f"w{number}", TIERS, lease_seconds=60):
            claimed_ids.append(claimed.job.id)
        return claimed_ids

    with ThreadPoolExecutor(8) as pool:
        claimed = [job_id for claimed_ids in pool.map(worker, range(8)) for job_id in claimed_ids]
    assert sorted(claimed) == sorted(ids)


def test_a_repeated_idempotency_key_and_request_returns_the_first_job(ledger: Ledger, queue_stats: QueueStats) -> None:
    first = submit(ledger, request(key="k"))
    again, new = ledger.submit(request(key="k"), queue_limit=100, remember_seconds=60)
    assert (again, new) == (first, False)
    assert queue_stats.depth("standard") == 1
    assert ledger.find_by_idempotency_key("k") == ("d", first)


def test_a_job_that_is_submitted_again_after_a_lost_reply_stays_as_it_is(
    ledger: Ledger, queue_stats: QueueStats
) -> None:
    job_request = request()
    assert submit(ledger, job_request) == submit(ledger, job_request) == job_request.id
    assert queue_stats.depth("standard") == 1
    claim(ledger)
    submit(ledger, job_request)
    assert ledger.get(job_request.id).state is JobState.RUNNING
    assert queue_stats.depth("standard") == 0


def test_an_idempotency_key_with_a_different_request_is_rejected(ledger: Ledger) -> None:
    submit(ledger, request(key="k"))
    with pytest.raises(IdempotencyKeyReused):
        submit(ledger, request(key="k", digest="other"))


def test_a_full_queue_rejects_a_job_and_creates_nothing(ledger: Ledger, queue_stats: QueueStats) -> None:
    submit(ledger, limit=1)
    rejected = request()
    with pytest.raises(QueueFull):
        submit(ledger, rejected, limit=1)
    with pytest.raises(JobNotFound):
        ledger.get(rejected.id)
    assert queue_stats.depth("standard") == 1


def test_a_renewal_updates_the_record_and_publishes_an_event(ledger: Ledger, valkey_url: str) -> None:
    job_id = submit(ledger)
    claimed = claim(ledger)
    progress = Progress(phase="192 px", current=3, total=60, percentage=2.5)
    control_flags = ledger.renew(claimed, lease_seconds=60, event=("progress", {"current": 3}), progress=progress)
    assert control_flags == ControlFlags(cancel=False, finish=False, others_waiting=False)
    assert ledger.get(job_id).progress == progress
    kinds = [event.kind for event in JobEvents(connect(valkey_url)).since(job_id)]
    assert kinds == ["state", "state", "progress"]


def test_an_expired_lease_requeues_the_job_at_the_head_and_fences_its_former_holder(ledger: Ledger) -> None:
    lost, waiting = submit(ledger), submit(ledger)
    zombie = claim(ledger, lease=-1)
    assert ledger.reap_expired_leases() == {lost: JobState.QUEUED}
    for call in (
        lambda: ledger.renew(zombie, lease_seconds=60, result="evil"),
        lambda: ledger.end_job(zombie, JobState.SUCCEEDED, result="evil"),
        lambda: ledger.release(zombie, place="head"),
    ):
        with pytest.raises(ClaimLost):
            call()
    successor = claim(ledger)
    assert (successor.job.id, successor.job.claims, successor.job.leases_lost, successor.job.result) == (
        lost,
        2,
        1,
        None,
    )
    assert claim(ledger).job.id == waiting


def test_a_new_claim_starts_without_the_speed_of_the_last_one(ledger: Ledger) -> None:
    job_id = submit(ledger)
    fast = claim(ledger)
    ledger.renew(fast, lease_seconds=60, fraction_per_second=0.5, steps_per_second=30.0, run_seconds=1.0)
    ledger.release(fast, place="tail")
    assert ledger.get(job_id).fraction_per_second == 0.5
    slow = claim(ledger).job
    assert (slow.fraction_per_second, slow.steps_per_second, slow.run_seconds) == (None, None, 1)


def test_a_late_renewal_counts_until_the_lease_is_reaped(ledger: Ledger) -> None:
    submit(ledger)
    late = claim(ledger, lease=-1)
    ledger.renew(late, lease_seconds=60)
    assert ledger.reap_expired_leases() == {}


def test_lost_leases_are_counted_until_a_new_checkpoint(ledger: Ledger) -> None:
    job_id = submit(ledger)
    for lost in (1, 2):
        claim(ledger, lease=-1)
        assert ledger.reap_expired_leases() == {job_id: JobState.QUEUED}
        assert ledger.get(job_id).leases_lost == lost
    ledger.renew(claim(ledger), lease_seconds=60, checkpoint="k", leases_lost=0)
    assert ledger.get(job_id).leases_lost == 0


def test_a_released_job_goes_to_the_head_on_a_drain_and_to_the_tail_after_a_time_slice(ledger: Ledger) -> None:
    first, second = submit(ledger), submit(ledger)
    ledger.release(claim(ledger), place="head")
    ledger.release(claim(ledger), place="tail")
    assert [claim(ledger).job.id, claim(ledger).job.id] == [second, first]


def test_finishing_twice_with_the_same_claim_is_idempotent(ledger: Ledger) -> None:
    job_id = submit(ledger)
    claimed = claim(ledger)
    for _ in range(2):
        ledger.end_job(claimed, JobState.SUCCEEDED, result="key")
    job = ledger.get(job_id)
    assert (job.state, job.result, job.claim) == (JobState.SUCCEEDED, "key", None)
    assert list(ledger.list_unfinalized_ids(older_than_seconds=-1)) == [job_id]


def test_an_earlier_cancel_wins_over_a_finished_job(ledger: Ledger) -> None:
    job_id = submit(ledger)
    claimed = claim(ledger)
    ledger.request_control(job_id, "cancel")
    ledger.end_job(claimed, JobState.SUCCEEDED, result="key")
    job = ledger.get(job_id)
    assert (job.state, job.result) == (JobState.CANCELED, None)
    assert job.canceled_at is not None


def test_a_queued_job_is_canceled_at_once_and_a_running_one_by_its_worker(
    ledger: Ledger, queue_stats: QueueStats
) -> None:
    running, waiting = submit(ledger), submit(ledger)
    claimed = claim(ledger)
    assert ledger.request_control(waiting, "cancel").state is JobState.CANCELED
    assert queue_stats.depth("standard") == 0
    assert ledger.request_control(running, "cancel").state is JobState.RUNNING
    assert ledger.renew(claimed, lease_seconds=60).cancel
    with pytest.raises(WrongState):
        ledger.request_control(waiting, "cancel")


def test_a_repeated_request_keeps_the_time_of_the_first_one(ledger: Ledger) -> None:
    job_id = submit(ledger)
    claim(ledger)
    first, second = (ledger.request_control(job_id, "cancel") for _ in range(2))
    assert first.cancel_requested_at == second.cancel_requested_at


def test_a_canceled_job_ends_on_a_drain_or_an_expired_lease(ledger: Ledger) -> None:
    drained, orphaned = submit(ledger), submit(ledger)
    claimed = claim(ledger)
    claim(ledger, lease=-1)
    ledger.request_control(drained, "cancel")
    ledger.request_control(orphaned, "cancel")
    ledger.release(claimed, place="head")
    assert ledger.reap_expired_leases() == {orphaned: JobState.CANCELED}
    assert ledger.get(drained).state is JobState.CANCELED


def test_finish_needs_a_first_step(ledger: Ledger) -> None:
    job_id = submit(ledger)
    with pytest.raises(NotReady):
        ledger.request_control(job_id, "finish")
    claimed = claim(ledger)
    ledger.renew(claimed, lease_seconds=60, progress=Progress(current=1, total=60))
    ledger.request_control(job_id, "finish")
    assert ledger.renew(claimed, lease_seconds=60).finish


def test_only_a_job_that_has_ended_can_be_deleted(ledger: Ledger) -> None:
    job_id = submit(ledger)
    with pytest.raises(WrongState):
        ledger.delete(job_id)
    ledger.request_control(job_id, "cancel")
    ledger.delete(job_id)
    assert ledger.list() == []
    with pytest.raises(JobNotFound):
        ledger.get(job_id)


def test_a_deletion_keeps_an_idempotency_key_of_another_job(ledger: Ledger, valkey_url: str) -> None:
    first = submit(ledger, request(key="k"))
    ledger.request_control(first, "cancel")
    connect(valkey_url).set(f"{NAMESPACE}:idempotency:k", "d another")
    ledger.delete(first)
    assert ledger.find_by_idempotency_key("k") == ("d", "another")


def test_only_ended_jobs_are_listed_for_expiry_by_their_end_time(ledger: Ledger) -> None:
    first, running, _ = [submit(ledger) for _ in range(3)]
    claimed = claim(ledger)
    assert claim(ledger).job.id == running
    ledger.request_control(running, "cancel")
    ledger.release(claimed, place="tail")
    assert ledger.list_completed_ids(older_than_seconds=-1, limit=9) == []
    ledger.request_control(first, "cancel")
    assert ledger.list_completed_ids(older_than_seconds=-1, limit=9) == [first]
    assert ledger.list_completed_ids(older_than_seconds=3600, limit=9) == []
    ledger.delete(first)
    assert ledger.list_completed_ids(older_than_seconds=-1, limit=9) == []


def test_lists_begin_with_the_newest_job_and_can_be_filtered_by_state(ledger: Ledger) -> None:
    ids = [submit(ledger) for _ in range(5)]
    ledger.request_control(ids[2], "cancel")
    assert [job.id for job in ledger.list(limit=3)] == ids[:1:-1]
    assert [job.id for job in ledger.list(state=JobState.CANCELED)] == [ids[2]]
