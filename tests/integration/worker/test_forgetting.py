"""Deletion over a real Valkey and a folder of blobs, cut short at every step of it."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from support.retention import (
    Crash,
    age,
    crash,
    each_call,
    ended,
    expired,
    inputs,
    lost,
    mentions,
    redis,
    run,
    seen,
    sent,
    started,
    stored,
    stumble,
    traces,
)

from shared.errors import BlobsUnavailable, JobNotFound, WrongState
from shared.recovery.job_files import forget, reconcile
from shared.services import Services
from shared.storage import keys

BEFORE_OR_AFTER = pytest.mark.parametrize("when", ["before", "after"])
SEALED_OR_NOT = pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "unsealed"])


@BEFORE_OR_AFTER
@SEALED_OR_NOT
def test_what_a_crash_leaves_of_a_deletion_the_next_upkeep_removes(
    services: Services, when: str, *, sealed: bool
) -> None:
    others = ended(services), started(services).job.id, sent(services)
    before = seen(services, *others)
    for frail, store in each_call(services, when, crash):
        job_id = expired(services, sealed=sealed)
        with suppress(Crash):
            forget(frail, job_id)
        age(services)
        run(services)
        assert traces(services, job_id) == [], f"cut short {when} call {store.calls}"
    assert seen(services, *others) == before
    assert inputs(services) == {"photo", "painting"}


@BEFORE_OR_AFTER
@SEALED_OR_NOT
def test_a_deletion_cut_short_by_a_crash_is_either_completed_or_has_not_begun(
    services: Services, when: str, *, sealed: bool
) -> None:
    outcomes = set()
    for frail, store in each_call(services, when, crash):
        job_id = ended(services, sealed=sealed)
        before = services.ledger.get(job_id)
        with suppress(Crash):
            forget(frail, job_id)
        age(services)
        run(services)
        left = bool(traces(services, job_id))
        assert left == services.blobs.exists(keys.request(job_id)), f"cut short {when} call {store.calls}"
        if left:
            assert services.ledger.get(job_id) == before
            assert services.blobs.exists(before.result or "")
        outcomes.add(left)
    assert outcomes == {True, False}


@BEFORE_OR_AFTER
@SEALED_OR_NOT
def test_a_deletion_that_fails_is_completed_when_it_is_asked_for_again(
    services: Services, when: str, *, sealed: bool
) -> None:
    for frail, _ in each_call(services, when, stumble):
        job_id = ended(services, sealed=sealed)
        with suppress(BlobsUnavailable):
            forget(frail, job_id)
        with suppress(JobNotFound):  # where the first call did it all
            forget(services, job_id)
        assert traces(services, job_id) == []


@BEFORE_OR_AFTER
@SEALED_OR_NOT
def test_a_redis_that_is_lost_and_rebuilt_during_a_deletion_does_not_bring_the_job_back(
    services: Services, when: str, *, sealed: bool
) -> None:
    def lose_and_rebuild() -> None:
        redis(services).flushall()
        reconcile(services)

    for eventful, _ in each_call(services, when, lose_and_rebuild):
        job_id = ended(services, sealed=sealed)
        try:
            forget(eventful, job_id)
        except WrongState:  # nobody had written down that it ended: it waits again, and nothing was removed
            assert not sealed
            assert services.blobs.exists(keys.request(job_id))
            services.ledger.request_control(job_id, "cancel")
            forget(services, job_id)
        reconcile(services)
        assert traces(services, job_id) == []


def test_a_job_whose_request_goes_while_redis_is_rebuilt_does_not_come_back(services: Services) -> None:
    job_id = ended(services)
    asked = services.blobs.get(keys.request(job_id))
    for eventful, store in each_call(services, "before", lambda: services.blobs.delete(keys.request(job_id))):
        services.blobs.put(keys.request(job_id), asked)
        redis(services).flushall()
        reconcile(eventful)
        went = store.calls >= store._at
        assert bool(mentions(services, job_id)) != went, f"at call {store._at}"


@BEFORE_OR_AFTER
def test_a_job_deleted_while_lost_records_are_looked_for_does_not_come_back(services: Services, when: str) -> None:
    job_ids: list[str] = []
    for eventful, store in each_call(services, when, lambda: forget(services, job_ids[-1])):
        job_ids.append(ended(services))
        reconcile(eventful)
        assert bool(traces(services, job_ids[-1])) == (store.calls < store._at)


@pytest.mark.parametrize("make", [sent, lambda services: started(services).job.id], ids=["waiting", "running"])
def test_of_a_job_that_has_not_ended_nothing_is_removed(services: Services, make: Callable[[Services], str]) -> None:
    job_id = make(services)
    before = seen(services, job_id)
    with pytest.raises(WrongState):
        forget(services, job_id)
    assert seen(services, job_id) == before


def test_a_job_whose_record_was_lost_is_not_deleted_for_its_ending_is_not_known(services: Services) -> None:
    job_id = lost(services, started(services).job.id)
    before = stored(services)
    with pytest.raises(JobNotFound):
        forget(services, job_id)
    assert stored(services) == before
