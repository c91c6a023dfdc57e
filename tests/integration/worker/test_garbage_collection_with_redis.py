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
from shared.services import Services
from shared.storage import keys
from worker.maintenance.garbage_collection import DAY, HOUR, audit, expire
from worker.maintenance.reaper import Reaper

# Retention.


def test_jobs_that_ended_long_ago_expire_with_all_that_is_kept_of_them(services: Services) -> None:
    old, young = expired(services, "old"), ended(services)
    before = seen(services, young)
    age(services)
    assert run(services) == {"expired": 1, "swept": 1}
    assert traces(services, old) == []
    assert seen(services, young) == before
    assert run(services) == {}


def test_a_job_that_has_not_ended_never_expires_however_old_it_is(services: Services) -> None:
    living = sent(services), started(services).job.id
    redis(services).zadd("easel:completed", dict.fromkeys(living, 0.0))  # not even if it were listed there
    before = seen(services, *living)
    age(services, 1000 * DAY)
    assert run(replace(services, settings=services.settings.model_copy(update={"retention_days": 1e-9}))) == {}
    assert seen(services, *living) == before
    assert inputs(services) == {"photo", "painting"}


def test_inputs_that_an_expired_and_a_living_job_share_stay(services: Services) -> None:
    expired(services, "shared")
    expired(services, "alone")
    sent(services, "shared")
    age(services)
    run(services)
    assert inputs(services) == {"shared", "painting"}


def test_without_a_retention_jobs_are_kept_for_ever(services: Services) -> None:
    job_id = expired(services)
    age(services)
    assert run(replace(services, settings=services.settings.model_copy(update={"retention_days": 0}))) == {}
    assert services.ledger.get(job_id).state is JobState.SUCCEEDED


def test_a_record_that_cannot_be_read_keeps_no_other_from_expiring(services: Services) -> None:
    broken, others = expired(services), [expired(services), expired(services)]
    redis(services).hset(f"easel:job:{broken}", "progress", "{")
    assert Counter(expire(services)) == {None: 1, "expired": 2}
    assert traces(services, *others) == []


def test_a_redis_that_was_rebuilt_knows_when_each_job_ended(services: Services) -> None:
    held = started(services)
    succeed(services, held)
    redis(services).hset(f"easel:job:{held.job.id}", "completed_at", time.time() - 31 * DAY)
    seal(services.ledger, services.blobs, held.job.id)
    redis(services).flushall()
    reconcile(services)
    assert run(services) == {"expired": 1}


# The audit.


def test_a_job_whose_record_was_lost_is_restored_once(services: Services) -> None:
    job_id = lost(services, sent(services, key="k"))
    age(services, 2 * HOUR)
    assert run(services) == {"restored": 1}
    assert services.ledger.get(job_id).state is JobState.QUEUED
    assert services.queue_stats.position(services.ledger.get(job_id)) == 1
    assert services.ledger.remembered("k") == ("d", job_id)
    assert run(services) == {}


def test_of_two_audits_at_once_one_restores_the_job(services: Services) -> None:
    job_ids = [lost(services, sent(services)) for _ in range(20)]
    age(services, 2 * HOUR)
    start = threading.Barrier(2)

    def audited(_: int) -> int:
        start.wait()
        return Counter(audit(services))["restored"]

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(audited, range(2))) == len(job_ids)
    assert services.queue_stats.depth("batch") == len(job_ids)


def test_a_restored_job_goes_on_from_what_the_store_knows(services: Services) -> None:
    succeeded, canceled, running = ended(services), started(services).job.id, started(services).job
    result, checkpoint = services.ledger.get(succeeded).result, services.ledger.get(running.id).checkpoint
    write_wish(services.blobs, canceled, "cancel")
    for job_id in (succeeded, canceled, running.id):
        lost(services, job_id)
    age(services, 2 * HOUR)
    assert run(services) == {"restored": 3}
    assert (services.ledger.get(succeeded).state, services.ledger.get(succeeded).result) == (JobState.SUCCEEDED, result)
    assert services.ledger.get(canceled).state is JobState.CANCELED
    assert (services.ledger.get(running.id).state, services.ledger.get(running.id).checkpoint) == ("queued", checkpoint)


def test_a_submission_that_may_be_under_way_is_left_alone(services: Services) -> None:
    job_id = lost(services, sent(services))
    age(services, 0.9 * HOUR)
    assert run(services) == {}
    assert not services.ledger.exists(job_id)


def test_a_request_that_cannot_be_read_keeps_no_other_job_from_being_restored(services: Services) -> None:
    broken, whole = lost(services, sent(services)), lost(services, sent(services))
    services.blobs.put(keys.request(broken), b"{")
    age(services, 2 * HOUR)
    assert run(services) == {"restored": 1}
    assert services.ledger.exists(whole)


@pytest.mark.parametrize("identity", [None, "of another Easel"])
def test_nothing_is_put_right_in_a_redis_that_is_not_the_ledger(services: Services, identity: str | None) -> None:
    sent(services)
    orphan = ended(services)
    services.blobs.delete(keys.request(orphan))
    redis(services).flushall()
    if identity:
        redis(services).set("easel:ledger", identity)
    age(services)
    before = stored(services)
    with pytest.raises(LedgerLost):
        list(audit(services))
    assert stored(services) == before
    assert redis(services).dbsize() == bool(identity)


def test_leftovers_without_request_and_record_go_when_they_are_a_day_old(services: Services) -> None:
    job_id = lost(services, started(services).job.id)
    services.blobs.delete(keys.request(job_id))
    age(services, 0.9 * DAY)
    before = stored(services)
    assert run(services) == {}
    assert stored(services) == before
    age(services)
    assert run(services)["swept"] == 3, "the folder, and two inputs"
    assert traces(services, job_id) == []


# All of it together.


@pytest.mark.parametrize(("event", "when"), [(crash, "after"), (stumble, "before")])
def test_an_upkeep_cut_short_anywhere_is_completed_by_the_next(
    services: Services, event: Callable[[], object], when: str
) -> None:
    for frail, store in each_call(services, when, event):
        redis(services).flushall()
        for key in stored(services, "jobs/"):
            services.blobs.delete(key)
        reconcile(services)
        gone = [expired(services, "old"), forgotten_in_part(services), lost(services, forgotten_in_part(services))]
        living = started(services).job.id, ended(services, "other"), sent(services)
        healed = lost(services, sent(services, "again"))
        before = seen(services, *living)
        age(services)
        with suppress(Crash):
            run(frail)
        run(services)
        assert traces(services, *gone) == [], f"cut short {when} call {store.calls}"
        assert seen(services, *living) == before
        assert services.ledger.get(healed).state is JobState.QUEUED
        assert inputs(services) == {"photo", "painting", "other", "again"}


def forgotten_in_part(services: Services) -> str:
    job_id = ended(services, "old")
    services.blobs.delete(keys.request(job_id))
    return job_id


def test_the_reaper_begins_with_an_upkeep_and_goes_on_with_it_round_by_round(services: Services) -> None:
    job_ids = [expired(services) for _ in range(3)]
    hurried = services.settings.model_copy(update={"reaper_seconds": 1e-9})  # no time for more than a step a round
    reaper, left = Reaper(replace(services, settings=hurried)), []
    for _ in range(5):
        reaper.tend()
        left.append(sum(map(services.ledger.exists, job_ids)))
    assert left == [3, 2, 1, 0, 0]


def test_the_reaper_survives_an_end_that_it_cannot_write_down(services: Services) -> None:
    broken, job_id = ended(services, sealed=False), ended(services, sealed=False)
    redis(services).hset(f"easel:job:{broken}", "progress", "{")
    redis(services).zadd("easel:unsealed", {broken: 1, job_id: 2})
    Reaper(services).tend()
    assert services.blobs.exists(keys.final(job_id))


def test_a_request_that_was_sent_again_under_its_key_does_not_come_back(services: Services) -> None:
    accepted = sent(services, key="k")
    assert sent(services, key="k") == accepted
    age(services)
    assert run(services) == {"swept": 1}
    requests = [blob.key for blob in services.blobs.list("jobs/") if blob.key.endswith("/request.json")]
    assert requests == [keys.request(accepted)]
    assert services.ledger.get(accepted).state is JobState.QUEUED
