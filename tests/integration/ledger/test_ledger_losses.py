"""A Redis that is down or lost its data, and the records restored into it."""

import time
from typing import Any

import pytest
from support.fixtures.ledger import claim, request, submit

from easel.models import JobState
from shared.errors import LedgerLost, LedgerUnavailable
from shared.ledger.ledger import NAMESPACE, Ledger, connect
from shared.ledger.queue_stats import QueueStats


def test_a_lost_ledger_is_detected_and_nothing_is_created_in_it(ledger: Ledger, valkey_url: str) -> None:
    job_id = submit(ledger)
    connect(valkey_url).flushall()
    for call in (
        lambda: submit(ledger),
        lambda: claim(ledger),
        lambda: ledger.get(job_id),
        ledger.reap_expired_leases,
    ):
        with pytest.raises(LedgerLost):
            call()


def test_a_ledger_lost_again_during_a_rebuild_stays_lost(ledger: Ledger, valkey_url: str) -> None:
    connect(valkey_url).flushall()
    marker = ledger.begin_rebuild()
    connect(valkey_url).flushall()
    ledger.end_rebuild(marker, "test")
    assert ledger.identity() is None
    ledger.end_rebuild(ledger.begin_rebuild(), "test")
    assert ledger.identity() == "test"


def test_a_redis_that_is_down_raises_ledger_unavailable(valkey_url: str) -> None:
    with pytest.raises(LedgerUnavailable):
        Ledger(connect(valkey_url.rsplit(":", 1)[0] + ":1/0")).get("x")


def test_a_restored_job_keeps_its_idempotency_key_for_the_rest_of_its_lifetime(ledger: Ledger, valkey_url: str) -> None:
    young = request(key="young").model_copy(update={"created_at": time.time() - 60})
    assert ledger.restore(young, JobState.QUEUED, remember_seconds=100)
    assert ledger.find_by_idempotency_key("young") == ("d", young.id)
    ttl: Any = connect(valkey_url).ttl(f"{NAMESPACE}:idempotency:young")
    assert 0 < ttl <= 40
    assert ledger.restore(request(key="old"), JobState.QUEUED)
    assert ledger.find_by_idempotency_key("old") is None


def test_of_two_restored_jobs_with_one_key_neither_is_lost(ledger: Ledger, queue_stats: QueueStats) -> None:
    first, second = (request(key="k").model_copy(update={"created_at": time.time()}) for _ in range(2))
    assert ledger.restore(first, JobState.QUEUED)
    assert ledger.restore(second, JobState.QUEUED)
    assert ledger.find_by_idempotency_key("k") == ("d", first.id)
    assert queue_stats.depth("standard") == 2


def test_restored_jobs_that_have_ended_are_finalized_and_counted(ledger: Ledger, queue_stats: QueueStats) -> None:
    recent, old, waiting = request(), request(), request()
    ledger.restore(recent, JobState.CANCELED, completed_at=time.time())
    ledger.restore(old, JobState.SUCCEEDED, completed_at=time.time() - 7200)
    ledger.restore(waiting, JobState.QUEUED)
    assert set(ledger.list_unfinalized_ids(older_than_seconds=-1)) == {recent.id, old.id}
    assert queue_stats.completed_last_hour() == 1
    assert ledger.list_completed_ids(older_than_seconds=3600, limit=9) == [old.id]
    assert ledger.list_completed_ids(older_than_seconds=-1, limit=9) == [old.id, recent.id]
