"""Snapshots of single jobs, and the batcher that reads them, over a real Valkey."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.fixtures.ledger import claim, submit

from api.live.snapshot_batcher import SnapshotBatcher
from shared.errors import JobNotFound, LedgerLost, LedgerUnavailable
from shared.jobs.events import JobEvents
from shared.ledger.job_snapshot import JobSnapshot, JobSnapshots
from shared.ledger.ledger import Ledger, connect


def accept(_: str | None) -> None:
    """Accept any ledger."""


@pytest.fixture
def snapshots(valkey_url: str) -> JobSnapshots:
    return JobSnapshots(connect(valkey_url))


def test_snapshots_are_of_one_moment(valkey_url: str, ledger: Ledger, snapshots: JobSnapshots) -> None:
    claimed, first, second = (submit(ledger) for _ in range(3))
    claim(ledger)
    results = snapshots.read([claimed, first, second])
    assert [snapshot.position for snapshot in results] == [None, 1, 2]
    assert [snapshot.job() for snapshot in results] == [ledger.get(job_id) for job_id in (claimed, first, second)]
    assert {snapshot.ledger_id for snapshot in results} == {"test"}
    events = JobEvents(connect(valkey_url))
    assert [snapshot.last_event_id for snapshot in results] == [
        events.last_id(job_id) for job_id in (claimed, first, second)
    ]


def test_a_missing_job_and_a_lost_ledger_are_different_errors(ledger: Ledger, snapshots: JobSnapshots) -> None:
    with pytest.raises(JobNotFound):
        snapshots.read(["nothing"])[0].job()
    ledger._redis.flushall()
    with pytest.raises(LedgerLost):
        snapshots.read(["nothing"])[0].job()


def test_snapshots_reconnect_to_redis(own_valkey: Any) -> None:
    ledger, snapshots = Ledger(connect(own_valkey.url)), JobSnapshots(connect(own_valkey.url))
    ledger.ensure_identity("test")
    job_id = submit(ledger)
    assert snapshots.read([job_id])[0].job().id == job_id
    own_valkey.stop()
    with pytest.raises(LedgerUnavailable):
        snapshots.read([job_id])
    own_valkey.start()
    assert snapshots.read([job_id])[0].job().id == job_id
    own_valkey.stop()
    own_valkey.start()
    assert snapshots.read([job_id])[0].job().id == job_id, "the connection was lost unnoticed"


class CountingSnapshots(JobSnapshots):
    """Records how many jobs each read has."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.batch_sizes: list[int] = []

    def read(self, ids: Sequence[str]) -> list[JobSnapshot]:
        self.batch_sizes.append(len(ids))
        return super().read(ids)


def test_requests_that_wait_share_the_next_read(valkey_url: str, ledger: Ledger) -> None:
    ids = [submit(ledger) for _ in range(5)]
    busy, go_on = threading.Event(), threading.Event()

    def serialize(snapshot: JobSnapshot) -> str:
        busy.set()
        assert go_on.wait(60)
        return snapshot.job().id

    counting = CountingSnapshots(connect(valkey_url))
    batcher = SnapshotBatcher(counting, serialize)
    with ThreadPoolExecutor(7) as pool:
        first = pool.submit(batcher.get, ids[0], accept)
        assert busy.wait(60)
        others = [pool.submit(batcher.get, job_id, accept) for job_id in ids]
        missing = pool.submit(batcher.get, "nothing", accept)
        while len(batcher._waiting) < 6:
            pass
        go_on.set()
        assert first.result()[1] == ids[0]
        assert [other.result()[1] for other in others] == ids
        with pytest.raises(JobNotFound):
            missing.result()
    assert counting.batch_sizes == [1, 6]


def test_the_ledger_is_confirmed_before_a_snapshot_is_used(valkey_url: str, ledger: Ledger) -> None:
    def refuse(ledger_id: str | None) -> None:
        assert ledger_id == "test"
        raise LedgerLost

    batcher = SnapshotBatcher(JobSnapshots(connect(valkey_url)), lambda snapshot: snapshot.job_id)
    for job_id in (submit(ledger), "nothing"):
        with pytest.raises(LedgerLost):
            batcher.get(job_id, refuse)


def test_all_waiting_requests_get_the_error_of_redis(own_valkey: Any) -> None:
    batcher = SnapshotBatcher(JobSnapshots(connect(own_valkey.url)), lambda snapshot: snapshot.job_id)
    own_valkey.stop()
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(batcher.get, "any", accept) for _ in range(4)]:
            with pytest.raises(LedgerUnavailable):
                future.result()
