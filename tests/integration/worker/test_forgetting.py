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
from shared.services import Ports
from shared.storage import keys

BEFORE_OR_AFTER = pytest.mark.parametrize("when", ["before", "after"])
SEALED_OR_NOT = pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "unsealed"])


@BEFORE_OR_AFTER
@SEALED_OR_NOT
def test_what_a_crash_leaves_of_a_deletion_the_next_upkeep_removes(ports: Ports, when: str, *, sealed: bool) -> None:
    others = ended(ports), started(ports).job.id, sent(ports)
    before = seen(ports, *others)
    for frail, store in each_call(ports, when, crash):
        job_id = expired(ports, sealed=sealed)
        with suppress(Crash):
            forget(frail, job_id)
        age(ports)
        run(ports)
        assert traces(ports, job_id) == [], f"cut short {when} call {store.calls}"
    assert seen(ports, *others) == before
    assert inputs(ports) == {"photo", "painting"}


@BEFORE_OR_AFTER
@SEALED_OR_NOT
def test_a_deletion_cut_short_by_a_crash_is_either_completed_or_has_not_begun(
    ports: Ports, when: str, *, sealed: bool
) -> None:
    outcomes = set()
    for frail, store in each_call(ports, when, crash):
        job_id = ended(ports, sealed=sealed)
        before = ports.ledger.get(job_id)
        with suppress(Crash):
            forget(frail, job_id)
        age(ports)
        run(ports)
        left = bool(traces(ports, job_id))
        assert left == ports.blobs.exists(keys.request(job_id)), f"cut short {when} call {store.calls}"
        if left:
            assert ports.ledger.get(job_id) == before
            assert ports.blobs.exists(before.result or "")
        outcomes.add(left)
    assert outcomes == {True, False}


@BEFORE_OR_AFTER
@SEALED_OR_NOT
def test_a_deletion_that_fails_is_completed_when_it_is_asked_for_again(
    ports: Ports, when: str, *, sealed: bool
) -> None:
    for frail, _ in each_call(ports, when, stumble):
        job_id = ended(ports, sealed=sealed)
        with suppress(BlobsUnavailable):
            forget(frail, job_id)
        with suppress(JobNotFound):  # where the first call did it all
            forget(ports, job_id)
        assert traces(ports, job_id) == []


@BEFORE_OR_AFTER
@SEALED_OR_NOT
def test_a_redis_that_is_lost_and_rebuilt_during_a_deletion_does_not_bring_the_job_back(
    ports: Ports, when: str, *, sealed: bool
) -> None:
    def lose_and_rebuild() -> None:
        redis(ports).flushall()
        reconcile(ports)

    for eventful, _ in each_call(ports, when, lose_and_rebuild):
        job_id = ended(ports, sealed=sealed)
        try:
            forget(eventful, job_id)
        except WrongState:  # nobody had written down that it ended: it waits again, and nothing was removed
            assert not sealed
            assert ports.blobs.exists(keys.request(job_id))
            ports.ledger.steer(job_id, "cancel")
            forget(ports, job_id)
        reconcile(ports)
        assert traces(ports, job_id) == []


def test_a_job_whose_request_goes_while_redis_is_rebuilt_does_not_come_back(ports: Ports) -> None:
    job_id = ended(ports)
    asked = ports.blobs.get(keys.request(job_id))
    for eventful, store in each_call(ports, "before", lambda: ports.blobs.delete(keys.request(job_id))):
        ports.blobs.put(keys.request(job_id), asked)
        redis(ports).flushall()
        reconcile(eventful)
        went = store.calls >= store._at
        assert bool(mentions(ports, job_id)) != went, f"at call {store._at}"


@BEFORE_OR_AFTER
def test_a_job_deleted_while_lost_records_are_looked_for_does_not_come_back(ports: Ports, when: str) -> None:
    job_ids: list[str] = []
    for eventful, store in each_call(ports, when, lambda: forget(ports, job_ids[-1])):
        job_ids.append(ended(ports))
        reconcile(eventful)
        assert bool(traces(ports, job_ids[-1])) == (store.calls < store._at)


@pytest.mark.parametrize("make", [sent, lambda ports: started(ports).job.id], ids=["waiting", "running"])
def test_of_a_job_that_has_not_ended_nothing_is_removed(ports: Ports, make: Callable[[Ports], str]) -> None:
    job_id = make(ports)
    before = seen(ports, job_id)
    with pytest.raises(WrongState):
        forget(ports, job_id)
    assert seen(ports, job_id) == before


def test_a_job_whose_record_was_lost_is_not_deleted_for_its_ending_is_not_known(ports: Ports) -> None:
    job_id = lost(ports, started(ports).job.id)
    before = stored(ports)
    with pytest.raises(JobNotFound):
        forget(ports, job_id)
    assert stored(ports) == before
