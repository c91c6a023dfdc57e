"""Retention and the audit over a real Valkey and a folder of blobs, cut short at every step of theirs."""

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
    age,
    crash,
    each_call,
    ended,
    expired,
    inputs,
    lost,
    redis,
    run,
    seen,
    sent,
    started,
    stored,
    stumble,
    traces,
)

from easel.models import JobState
from shared.errors import LedgerLost
from shared.recovery.job_files import reconcile, seal, write_wish
from shared.services import Ports
from shared.storage import keys
from worker.maintenance.garbage_collection import DAY, HOUR, audit, expire
from worker.maintenance.reaper import Reaper

# Retention.


def test_jobs_that_ended_long_ago_expire_with_all_that_is_kept_of_them(ports: Ports) -> None:
    old, young = expired(ports, "old"), ended(ports)
    before = seen(ports, young)
    age(ports)
    assert run(ports) == {"expired": 1, "swept": 1}
    assert traces(ports, old) == []
    assert seen(ports, young) == before
    assert run(ports) == {}


def test_a_job_that_has_not_ended_never_expires_however_old_it_is(ports: Ports) -> None:
    living = sent(ports), started(ports).job.id
    redis(ports).zadd("easel:completed", dict.fromkeys(living, 0.0))  # not even if it were listed there
    before = seen(ports, *living)
    age(ports, 1000 * DAY)
    assert run(replace(ports, settings=ports.settings.model_copy(update={"retention_days": 1e-9}))) == {}
    assert seen(ports, *living) == before
    assert inputs(ports) == {"photo", "painting"}


def test_inputs_that_an_expired_and_a_living_job_share_stay(ports: Ports) -> None:
    expired(ports, "shared")
    expired(ports, "alone")
    sent(ports, "shared")
    age(ports)
    run(ports)
    assert inputs(ports) == {"shared", "painting"}


def test_without_a_retention_jobs_are_kept_for_ever(ports: Ports) -> None:
    job_id = expired(ports)
    age(ports)
    assert run(replace(ports, settings=ports.settings.model_copy(update={"retention_days": 0}))) == {}
    assert ports.ledger.get(job_id).state is JobState.SUCCEEDED


def test_a_record_that_cannot_be_read_keeps_no_other_from_expiring(ports: Ports) -> None:
    broken, others = expired(ports), [expired(ports), expired(ports)]
    redis(ports).hset(f"easel:job:{broken}", "progress", "{")
    assert Counter(expire(ports)) == {None: 1, "expired": 2}
    assert traces(ports, *others) == []


def test_a_redis_that_was_rebuilt_knows_when_each_job_ended(ports: Ports) -> None:
    held = started(ports)
    succeed(ports, held)
    redis(ports).hset(f"easel:job:{held.job.id}", "completed_at", time.time() - 31 * DAY)
    seal(ports.ledger, ports.blobs, held.job.id)
    redis(ports).flushall()
    reconcile(ports)
    assert run(ports) == {"expired": 1}


# The audit.


def test_a_job_whose_record_was_lost_is_restored_once(ports: Ports) -> None:
    job_id = lost(ports, sent(ports, key="k"))
    age(ports, 2 * HOUR)
    assert run(ports) == {"restored": 1}
    assert ports.ledger.get(job_id).state is JobState.QUEUED
    assert ports.overview.position(ports.ledger.get(job_id)) == 1
    assert ports.ledger.remembered("k") == ("d", job_id)
    assert run(ports) == {}


def test_of_two_audits_at_once_one_restores_the_job(ports: Ports) -> None:
    job_ids = [lost(ports, sent(ports)) for _ in range(20)]
    age(ports, 2 * HOUR)
    start = threading.Barrier(2)

    def audited(_: int) -> int:
        start.wait()
        return Counter(audit(ports))["restored"]

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(audited, range(2))) == len(job_ids)
    assert ports.overview.depth("batch") == len(job_ids)


def test_a_restored_job_goes_on_from_what_the_store_knows(ports: Ports) -> None:
    succeeded, canceled, running = ended(ports), started(ports).job.id, started(ports).job
    result, checkpoint = ports.ledger.get(succeeded).result, ports.ledger.get(running.id).checkpoint
    write_wish(ports.blobs, canceled, "cancel")
    for job_id in (succeeded, canceled, running.id):
        lost(ports, job_id)
    age(ports, 2 * HOUR)
    assert run(ports) == {"restored": 3}
    assert (ports.ledger.get(succeeded).state, ports.ledger.get(succeeded).result) == (JobState.SUCCEEDED, result)
    assert ports.ledger.get(canceled).state is JobState.CANCELED
    assert (ports.ledger.get(running.id).state, ports.ledger.get(running.id).checkpoint) == ("queued", checkpoint)


def test_a_submission_that_may_be_under_way_is_left_alone(ports: Ports) -> None:
    job_id = lost(ports, sent(ports))
    age(ports, 0.9 * HOUR)
    assert run(ports) == {}
    assert not ports.ledger.exists(job_id)


def test_a_request_that_cannot_be_read_keeps_no_other_job_from_being_restored(ports: Ports) -> None:
    broken, whole = lost(ports, sent(ports)), lost(ports, sent(ports))
    ports.blobs.put(keys.request(broken), b"{")
    age(ports, 2 * HOUR)
    assert run(ports) == {"restored": 1}
    assert ports.ledger.exists(whole)


@pytest.mark.parametrize("identity", [None, "of another Easel"])
def test_nothing_is_put_right_in_a_redis_that_is_not_the_ledger(ports: Ports, identity: str | None) -> None:
    sent(ports)
    orphan = ended(ports)
    ports.blobs.delete(keys.request(orphan))
    redis(ports).flushall()
    if identity:
        redis(ports).set("easel:ledger", identity)
    age(ports)
    before = stored(ports)
    with pytest.raises(LedgerLost):
        list(audit(ports))
    assert stored(ports) == before
    assert redis(ports).dbsize() == bool(identity)


def test_leftovers_without_request_and_record_go_when_they_are_a_day_old(ports: Ports) -> None:
    job_id = lost(ports, started(ports).job.id)
    ports.blobs.delete(keys.request(job_id))
    age(ports, 0.9 * DAY)
    before = stored(ports)
    assert run(ports) == {}
    assert stored(ports) == before
    age(ports)
    assert run(ports)["swept"] == 3, "the folder, and two inputs"
    assert traces(ports, job_id) == []


# All of it together.


@pytest.mark.parametrize(("event", "when"), [(crash, "after"), (stumble, "before")])
def test_an_upkeep_cut_short_anywhere_is_completed_by_the_next(
    ports: Ports, event: Callable[[], object], when: str
) -> None:
    for frail, store in each_call(ports, when, event):
        redis(ports).flushall()
        for key in stored(ports, "jobs/"):
            ports.blobs.delete(key)
        reconcile(ports)
        gone = [expired(ports, "old"), forgotten_in_part(ports), lost(ports, forgotten_in_part(ports))]
        living = started(ports).job.id, ended(ports, "other"), sent(ports)
        healed = lost(ports, sent(ports, "again"))
        before = seen(ports, *living)
        age(ports)
        with suppress(Crash):
            run(frail)
        run(ports)
        assert traces(ports, *gone) == [], f"cut short {when} call {store.calls}"
        assert seen(ports, *living) == before
        assert ports.ledger.get(healed).state is JobState.QUEUED
        assert inputs(ports) == {"photo", "painting", "other", "again"}


def forgotten_in_part(ports: Ports) -> str:
    job_id = ended(ports, "old")
    ports.blobs.delete(keys.request(job_id))
    return job_id


def test_the_reaper_begins_with_an_upkeep_and_goes_on_with_it_round_by_round(ports: Ports) -> None:
    job_ids = [expired(ports) for _ in range(3)]
    hurried = ports.settings.model_copy(update={"reaper_seconds": 1e-9})  # no time for more than a step a round
    reaper, left = Reaper(replace(ports, settings=hurried)), []
    for _ in range(5):
        reaper.tend()
        left.append(sum(map(ports.ledger.exists, job_ids)))
    assert left == [3, 2, 1, 0, 0]


def test_the_reaper_survives_an_end_that_it_cannot_write_down(ports: Ports) -> None:
    broken, job_id = ended(ports, sealed=False), ended(ports, sealed=False)
    redis(ports).hset(f"easel:job:{broken}", "progress", "{")
    redis(ports).zadd("easel:unsealed", {broken: 1, job_id: 2})
    Reaper(ports).tend()
    assert ports.blobs.exists(keys.final(job_id))


def test_a_request_that_was_sent_again_under_its_key_does_not_come_back(ports: Ports) -> None:
    accepted = sent(ports, key="k")
    assert sent(ports, key="k") == accepted
    age(ports)
    assert run(ports) == {"swept": 1}
    requests = [blob.key for blob in ports.blobs.list("jobs/") if blob.key.endswith("/request.json")]
    assert requests == [keys.request(accepted)]
    assert ports.ledger.get(accepted).state is JobState.QUEUED
