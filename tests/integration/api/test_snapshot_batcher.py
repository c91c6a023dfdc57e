"""Looks at single jobs, over a real Valkey."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.fixtures.ledger import claim, submit

from api.live.snapshot_batcher import Lookout
from shared.errors import JobNotFound, LedgerLost, LedgerUnavailable
from shared.jobs.events import Events
from shared.ledger.job_snapshot import JobSnapshot, JobSnapshots
from shared.ledger.ledger import Ledger, connect


def believe(_: str | None) -> None:
    """Any ledger."""


@pytest.fixture
def snapshots(valkey_url: str) -> JobSnapshots:
    return JobSnapshots(connect(valkey_url))


def test_a_look_tells_all_of_one_moment(valkey_url: str, ledger: Ledger, snapshots: JobSnapshots) -> None:
    taken, first, second = (submit(ledger) for _ in range(3))
    claim(ledger)
    seen = snapshots.of([taken, first, second])
    assert [sight.position for sight in seen] == [None, 1, 2]
    assert [sight.job() for sight in seen] == [ledger.get(job_id) for job_id in (taken, first, second)]
    assert {sight.ledger for sight in seen} == {"test"}
    events = Events(connect(valkey_url))
    assert [sight.newest_event for sight in seen] == [events.last_id(job_id) for job_id in (taken, first, second)]


def test_a_job_that_is_not_there_is_told_apart_from_a_ledger_that_lost_it(
    ledger: Ledger, snapshots: JobSnapshots
) -> None:
    with pytest.raises(JobNotFound):
        snapshots.of(["nothing"])[0].job()
    ledger._redis.flushall()
    with pytest.raises(LedgerLost):
        snapshots.of(["nothing"])[0].job()


def test_a_redis_that_came_back_is_asked_again(own_valkey: Any) -> None:
    ledger, snapshots = Ledger(connect(own_valkey.url)), JobSnapshots(connect(own_valkey.url))
    ledger.adopt("test")
    job_id = submit(ledger)
    assert snapshots.of([job_id])[0].job().id == job_id
    own_valkey.stop()
    with pytest.raises(LedgerUnavailable):
        snapshots.of([job_id])
    own_valkey.start()
    assert snapshots.of([job_id])[0].job().id == job_id
    own_valkey.stop()
    own_valkey.start()
    assert snapshots.of([job_id])[0].job().id == job_id, "nobody was told that the connection had been lost"


class Counted(JobSnapshots):
    """Remembers what was asked."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.asked: list[int] = []

    def of(self, ids: Sequence[str]) -> list[JobSnapshot]:
        self.asked.append(len(ids))
        return super().of(ids)


def test_threads_that_ask_meanwhile_are_answered_together_and_each_with_its_own(
    valkey_url: str, ledger: Ledger
) -> None:
    ids = [submit(ledger) for _ in range(5)]
    busy, go_on = threading.Event(), threading.Event()

    def make(sight: JobSnapshot) -> str:
        busy.set()
        assert go_on.wait(60)
        return sight.job().id

    counted = Counted(connect(valkey_url))
    lookout = Lookout(counted, make)
    with ThreadPoolExecutor(7) as pool:
        first = pool.submit(lookout.look, ids[0], believe)
        assert busy.wait(60)
        others = [pool.submit(lookout.look, job_id, believe) for job_id in ids]
        missing = pool.submit(lookout.look, "nothing", believe)
        while len(lookout._open) < 6:
            pass
        go_on.set()
        assert first.result()[1] == ids[0]
        assert [other.result()[1] for other in others] == ids
        with pytest.raises(JobNotFound):
            missing.result()
    assert counted.asked == [1, 6]


def test_nothing_is_believed_of_a_ledger_that_is_not_ours(valkey_url: str, ledger: Ledger) -> None:
    def refuse(found: str | None) -> None:
        assert found == "test"
        raise LedgerLost

    lookout = Lookout(JobSnapshots(connect(valkey_url)), lambda sight: sight.job_id)
    for job_id in (submit(ledger), "nothing"):
        with pytest.raises(LedgerLost):
            lookout.look(job_id, refuse)


def test_all_who_asked_hear_that_redis_is_away(own_valkey: Any) -> None:
    lookout = Lookout(JobSnapshots(connect(own_valkey.url)), lambda sight: sight.job_id)
    own_valkey.stop()
    with ThreadPoolExecutor(4) as pool:
        for asked in [pool.submit(lookout.look, "any", believe) for _ in range(4)]:
            with pytest.raises(LedgerUnavailable):
                asked.result()
