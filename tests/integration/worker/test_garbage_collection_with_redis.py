"""Garbage collection on a real Valkey and a folder of blobs, interrupted at every step."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest
from support.fixtures.api import succeed
from support.retention import (
    Crash,
    add_expired_job,
    add_queued_job,
    add_running_job,
    add_succeeded_job,
    age_blobs,
    crash,
    fail_once,
    input_hashes,
    interrupt_each_call,
    lose_record,
    read_jobs,
    redis_client,
    remaining,
    run_garbage_collection,
    stored_blobs,
)

from easel.models import JobState
from shared.errors import LedgerLost
from shared.recovery.job_files import finalize, write_control_request
from shared.recovery.rebuild import rebuild_ledger
from shared.services import Services
from shared.storage import keys
from worker.maintenance.garbage_collection import DAY, HOUR, expire_jobs, repair_jobs
from worker.maintenance.reaper import Reaper

# Retention.


def test_jobs_that_ended_long_ago_expire_with_all_their_files(services: Services) -> None:
    old, young = add_expired_job(services, "old"), add_succeeded_job(services)
    before = read_jobs(services, young)
    age_blobs(services)
    assert run_garbage_collection(services) == {"jobs_expired": 1, "leftovers_deleted": 1}
    assert remaining(services, old) == []
    assert read_jobs(services, young) == before
    assert run_garbage_collection(services) == {}


def test_a_job_that_has_not_ended_never_expires_however_old_it_is(services: Services) -> None:
    live = add_queued_job(services), add_running_job(services).job.id
    redis_client(services).zadd("easel:completed", dict.fromkeys(live, 0.0))  # not even if it were listed there
    before = read_jobs(services, *live)
    age_blobs(services, 1000 * DAY)
    settings = services.settings.model_copy(update={"retention_days": 1e-9})
    assert run_garbage_collection(replace(services, settings=settings)) == {}
    assert read_jobs(services, *live) == before
    assert input_hashes(services) == {"photo", "painting"}


def test_inputs_shared_by_an_expired_and_a_live_job_are_kept(services: Services) -> None:
    add_expired_job(services, "shared")
    add_expired_job(services, "alone")
    add_queued_job(services, "shared")
    age_blobs(services)
    run_garbage_collection(services)
    assert input_hashes(services) == {"shared", "painting"}


def test_without_a_retention_period_jobs_are_kept(services: Services) -> None:
    job_id = add_expired_job(services)
    age_blobs(services)
    settings = services.settings.model_copy(update={"retention_days": 0})
    assert run_garbage_collection(replace(services, settings=settings)) == {}
    assert services.ledger.get(job_id).state is JobState.SUCCEEDED


def test_an_unreadable_record_does_not_keep_other_jobs_from_expiring(services: Services) -> None:
    broken, others = add_expired_job(services), [add_expired_job(services), add_expired_job(services)]
    redis_client(services).hset(f"easel:job:{broken}", "progress", "{")
    assert Counter(expire_jobs(services)) == {None: 1, "jobs_expired": 2}
    assert remaining(services, *others) == []


def test_a_rebuilt_ledger_keeps_the_end_times_of_jobs(services: Services) -> None:
    running = add_running_job(services)
    succeed(services, running)
    redis_client(services).hset(f"easel:job:{running.job.id}", "completed_at", time.time() - 31 * DAY)
    finalize(services.ledger, services.blobs, running.job.id)
    redis_client(services).flushall()
    rebuild_ledger(services)
    assert run_garbage_collection(services) == {"jobs_expired": 1}


# Repairs.


def test_a_job_whose_record_was_lost_is_restored_once(services: Services) -> None:
    job_id = lose_record(services, add_queued_job(services, key="k"))
    age_blobs(services, 2 * HOUR)
    assert run_garbage_collection(services) == {"records_restored": 1}
    assert services.ledger.get(job_id).state is JobState.QUEUED
    assert services.queue_stats.position(services.ledger.get(job_id)) == 1
    assert services.ledger.find_by_idempotency_key("k") == ("d", job_id)
    assert run_garbage_collection(services) == {}


def test_of_two_concurrent_repairs_one_restores_the_job(services: Services) -> None:
    job_ids = [lose_record(services, add_queued_job(services)) for _ in range(20)]
    age_blobs(services, 2 * HOUR)
    start = threading.Barrier(2)

    def count_restored(_: int) -> int:
        start.wait()
        return Counter(repair_jobs(services))["records_restored"]

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(count_restored, range(2))) == len(job_ids)
    assert services.queue_stats.depth("batch") == len(job_ids)


def test_a_restored_job_continues_from_its_files(services: Services) -> None:
    succeeded, canceled, running = (
        add_succeeded_job(services),
        add_running_job(services).job.id,
        add_running_job(services).job,
    )
    result, checkpoint = services.ledger.get(succeeded).result, services.ledger.get(running.id).checkpoint
    write_control_request(services.blobs, canceled, "cancel")
    for job_id in (succeeded, canceled, running.id):
        lose_record(services, job_id)
    age_blobs(services, 2 * HOUR)
    assert run_garbage_collection(services) == {"records_restored": 3}
    assert (services.ledger.get(succeeded).state, services.ledger.get(succeeded).result) == (JobState.SUCCEEDED, result)
    assert services.ledger.get(canceled).state is JobState.CANCELED
    assert (services.ledger.get(running.id).state, services.ledger.get(running.id).checkpoint) == ("queued", checkpoint)


def test_a_submission_that_may_be_in_progress_is_kept(services: Services) -> None:
    job_id = lose_record(services, add_queued_job(services))
    age_blobs(services, 0.9 * HOUR)
    assert run_garbage_collection(services) == {}
    assert not services.ledger.exists(job_id)


def test_an_unreadable_request_does_not_keep_other_jobs_from_being_restored(services: Services) -> None:
    broken, whole = lose_record(services, add_queued_job(services)), lose_record(services, add_queued_job(services))
    services.blobs.put(keys.request(broken), b"{")
    age_blobs(services, 2 * HOUR)
    assert run_garbage_collection(services) == {"records_restored": 1}
    assert services.ledger.exists(whole)


@pytest.mark.parametrize("identity", [None, "another ledger"])
def test_nothing_is_repaired_in_a_redis_that_is_not_the_ledger(services: Services, identity: str | None) -> None:
    add_queued_job(services)
    orphan = add_succeeded_job(services)
    services.blobs.delete(keys.request(orphan))
    redis_client(services).flushall()
    if identity:
        redis_client(services).set("easel:ledger", identity)
    age_blobs(services)
    before = stored_blobs(services)
    with pytest.raises(LedgerLost):
        list(repair_jobs(services))
    assert stored_blobs(services) == before
    assert redis_client(services).dbsize() == bool(identity)


def test_leftovers_without_request_and_record_are_deleted_after_a_day(services: Services) -> None:
    job_id = lose_record(services, add_running_job(services).job.id)
    services.blobs.delete(keys.request(job_id))
    age_blobs(services, 0.9 * DAY)
    before = stored_blobs(services)
    assert run_garbage_collection(services) == {}
    assert stored_blobs(services) == before
    age_blobs(services)
    assert run_garbage_collection(services)["leftovers_deleted"] == 3, "the folder, and two inputs"
    assert remaining(services, job_id) == []


# Everything together.


@pytest.mark.parametrize(("interruption", "when"), [(crash, "after"), (fail_once, "before")])
def test_a_garbage_collection_interrupted_anywhere_is_completed_by_the_next(
    services: Services, interruption: Callable[[], object], when: str
) -> None:
    for interrupted, store in interrupt_each_call(services, when, interruption):
        redis_client(services).flushall()
        for key in stored_blobs(services, "jobs/"):
            services.blobs.delete(key)
        rebuild_ledger(services)
        deleted = [
            add_expired_job(services, "old"),
            add_partly_deleted_job(services),
            lose_record(services, add_partly_deleted_job(services)),
        ]
        live = add_running_job(services).job.id, add_succeeded_job(services, "other"), add_queued_job(services)
        restored = lose_record(services, add_queued_job(services, "again"))
        before = read_jobs(services, *live)
        age_blobs(services)
        with suppress(Crash):
            run_garbage_collection(interrupted)
        run_garbage_collection(services)
        assert remaining(services, *deleted) == [], f"interrupted {when} call {store.calls}"
        assert read_jobs(services, *live) == before
        assert services.ledger.get(restored).state is JobState.QUEUED
        assert input_hashes(services) == {"photo", "painting", "other", "again"}


def add_partly_deleted_job(services: Services) -> str:
    """Add a job whose deletion was interrupted; return its id."""
    job_id = add_succeeded_job(services, "old")
    services.blobs.delete(keys.request(job_id))
    return job_id


def test_the_reaper_starts_with_a_garbage_collection_and_continues_it_in_each_round(services: Services) -> None:
    job_ids = [add_expired_job(services) for _ in range(3)]
    fast = services.settings.model_copy(update={"reaper_seconds": 1e-9})  # time for one step per round
    reaper, counts = Reaper(replace(services, settings=fast)), []
    for _ in range(5):
        reaper.maintain()
        counts.append(sum(map(services.ledger.exists, job_ids)))
    assert counts == [3, 2, 1, 0, 0]


def test_a_record_that_cannot_be_finalized_does_not_block_the_others(services: Services) -> None:
    broken, job_id = add_succeeded_job(services, finalized=False), add_succeeded_job(services, finalized=False)
    redis_client(services).hset(f"easel:job:{broken}", "progress", "{")
    redis_client(services).zadd("easel:unfinalized", {broken: 1, job_id: 2})
    Reaper(services).maintain()
    assert services.blobs.exists(keys.final(job_id))


def test_a_request_that_was_resubmitted_under_its_key_is_not_restored(services: Services) -> None:
    accepted = add_queued_job(services, key="k")
    assert add_queued_job(services, key="k") == accepted
    age_blobs(services)
    assert run_garbage_collection(services) == {"leftovers_deleted": 1}
    requests = [blob.key for blob in services.blobs.list("jobs/") if blob.key.endswith("/request.json")]
    assert requests == [keys.request(accepted)]
    assert services.ledger.get(accepted).state is JobState.QUEUED


def test_an_unreadable_file_of_a_batch_does_not_keep_other_leftovers(services: Services) -> None:
    broken, empty = keys.batch("1"), keys.batch("2")
    services.blobs.put(broken, b"{")
    services.blobs.put(empty, b'{"jobs": []}')
    services.blobs.put(keys.input_image("unused"), b"an image")
    age_blobs(services)
    assert run_garbage_collection(services) == {"leftovers_deleted": 2}
    assert list(stored_blobs(services, keys.BATCHES_PREFIX)) == [broken]
