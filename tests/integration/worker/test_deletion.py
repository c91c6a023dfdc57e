"""Deletion of jobs on a real Valkey and a folder of blobs, interrupted at every step."""

from collections.abc import Callable
from contextlib import suppress

import pytest
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
    redis_keys,
    remaining,
    run_garbage_collection,
    stored_blobs,
)

from shared.errors import JobNotFound, StorageUnavailable, WrongState
from shared.recovery.deletion import delete_job
from shared.recovery.rebuild import rebuild_ledger
from shared.services import Services
from shared.storage import keys

BEFORE_OR_AFTER = pytest.mark.parametrize("when", ["before", "after"])
FINALIZED_OR_NOT = pytest.mark.parametrize("finalized", [True, False], ids=["finalized", "unfinalized"])


@BEFORE_OR_AFTER
@FINALIZED_OR_NOT
def test_a_deletion_interrupted_by_a_crash_is_completed_by_garbage_collection(
    services: Services, when: str, *, finalized: bool
) -> None:
    others = add_succeeded_job(services), add_running_job(services).job.id, add_queued_job(services)
    before = read_jobs(services, *others)
    for interrupted, store in interrupt_each_call(services, when, crash):
        job_id = add_expired_job(services, finalized=finalized)
        with suppress(Crash):
            delete_job(interrupted, job_id)
        age_blobs(services)
        run_garbage_collection(services)
        assert remaining(services, job_id) == [], f"interrupted {when} call {store.calls}"
    assert read_jobs(services, *others) == before
    assert input_hashes(services) == {"photo", "painting"}


@BEFORE_OR_AFTER
@FINALIZED_OR_NOT
def test_an_interrupted_deletion_is_either_completed_or_has_no_effect(
    services: Services, when: str, *, finalized: bool
) -> None:
    outcomes = set()
    for interrupted, store in interrupt_each_call(services, when, crash):
        job_id = add_succeeded_job(services, finalized=finalized)
        before = services.ledger.get(job_id)
        with suppress(Crash):
            delete_job(interrupted, job_id)
        age_blobs(services)
        run_garbage_collection(services)
        still_exists = bool(remaining(services, job_id))
        assert still_exists == services.blobs.exists(keys.request(job_id)), f"interrupted {when} call {store.calls}"
        if still_exists:
            assert services.ledger.get(job_id) == before
            assert services.blobs.exists(before.result or "")
        outcomes.add(still_exists)
    assert outcomes == {True, False}


@FINALIZED_OR_NOT
def test_the_file_that_says_whose_job_it_was_is_deleted_last(services: Services, *, finalized: bool) -> None:
    for interrupted, _ in interrupt_each_call(services, "after", crash):
        job_id = add_succeeded_job(services, finalized=finalized)
        with suppress(Crash):
            delete_job(interrupted, job_id)
        if not services.ledger.exists(job_id) and any(services.blobs.list(keys.job_prefix(job_id))):
            assert services.blobs.exists(keys.final(job_id))


@BEFORE_OR_AFTER
@FINALIZED_OR_NOT
def test_a_failed_deletion_is_completed_by_a_second_request(services: Services, when: str, *, finalized: bool) -> None:
    for interrupted, _ in interrupt_each_call(services, when, fail_once):
        job_id = add_succeeded_job(services, finalized=finalized)
        with suppress(StorageUnavailable):
            delete_job(interrupted, job_id)
        with suppress(JobNotFound):  # if the first call deleted everything
            delete_job(services, job_id)
        assert remaining(services, job_id) == []


@BEFORE_OR_AFTER
@FINALIZED_OR_NOT
def test_a_ledger_lost_and_rebuilt_during_a_deletion_does_not_bring_the_job_back(
    services: Services, when: str, *, finalized: bool
) -> None:
    def lose_and_rebuild() -> None:
        redis_client(services).flushall()
        rebuild_ledger(services)

    for interrupted, _ in interrupt_each_call(services, when, lose_and_rebuild):
        job_id = add_succeeded_job(services, finalized=finalized)
        try:
            delete_job(interrupted, job_id)
        except WrongState:  # its end was not recorded: it is queued again, and nothing was deleted
            assert not finalized
            assert services.blobs.exists(keys.request(job_id))
            services.ledger.request_control(job_id, "cancel")
            delete_job(services, job_id)
        rebuild_ledger(services)
        assert remaining(services, job_id) == []


def test_a_job_whose_request_is_deleted_during_a_rebuild_does_not_come_back(services: Services) -> None:
    job_id = add_succeeded_job(services)
    stored_request = services.blobs.get(keys.request(job_id))
    for interrupted, store in interrupt_each_call(
        services, "before", lambda: services.blobs.delete(keys.request(job_id))
    ):
        services.blobs.put(keys.request(job_id), stored_request)
        redis_client(services).flushall()
        rebuild_ledger(interrupted)
        was_deleted = store.calls > store._at  # before the last call, which lists batches
        assert bool(redis_keys(services, job_id)) != was_deleted, f"at call {store._at}"


@BEFORE_OR_AFTER
def test_a_job_deleted_during_a_rebuild_does_not_come_back(services: Services, when: str) -> None:
    job_ids: list[str] = []
    for interrupted, store in interrupt_each_call(services, when, lambda: delete_job(services, job_ids[-1])):
        job_ids.append(add_succeeded_job(services))
        rebuild_ledger(interrupted)
        assert bool(remaining(services, job_ids[-1])) == (store.calls < store._at)


@pytest.mark.parametrize(
    "add_job", [add_queued_job, lambda services: add_running_job(services).job.id], ids=["queued", "running"]
)
def test_nothing_of_a_job_that_has_not_ended_is_deleted(services: Services, add_job: Callable[[Services], str]) -> None:
    job_id = add_job(services)
    before = read_jobs(services, job_id)
    with pytest.raises(WrongState):
        delete_job(services, job_id)
    assert read_jobs(services, job_id) == before


def test_a_job_whose_record_was_lost_is_not_deleted_because_its_outcome_is_unknown(services: Services) -> None:
    job_id = lose_record(services, add_running_job(services).job.id)
    before = stored_blobs(services)
    with pytest.raises(JobNotFound):
        delete_job(services, job_id)
    assert stored_blobs(services) == before
