"""A cancel that a worker has seen, and that it cannot record because Redis is unavailable."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.fixtures.valkey import Valkey
from support.fixtures.worker import WorkerRig

from easel.models import JobState
from shared.errors import LedgerUnavailable
from worker.devices.memory import WorkerMemory
from worker.job.heartbeat import Heartbeat
from worker.job.session import JobSession


class CanceledJob:
    """A claimed job whose worker sees the cancel request, just before Redis becomes unavailable."""

    def __init__(self, folder: Path, valkey: Valkey, weights: Path) -> None:
        self._valkey, self.drain = valkey, threading.Event()
        rig = WorkerRig(folder, valkey.url, weights)
        self.ledger, self.id = rig.services.ledger, rig.submit()
        session = JobSession.claim_next(rig.services, "one", WorkerMemory("host", 0), self.drain)
        assert session
        self.session, self.heartbeat = session, Heartbeat(session)

    def see_cancel_and_stop_redis(self) -> None:
        self.ledger.request_control(self.id, "cancel")
        while not self.session.control_flags.cancel:
            threading.Event().wait(0.01)
        self._valkey.stop()


@pytest.fixture
def canceled(tmp_path: Path, own_valkey: Valkey, random_weights: Path) -> CanceledJob:
    return CanceledJob(tmp_path, own_valkey, random_weights)


def test_a_worker_waits_for_redis_to_record_a_cancel_and_keeps_its_lease(
    canceled: CanceledJob, own_valkey: Valkey
) -> None:
    with canceled.heartbeat, ThreadPoolExecutor() as threads, capture_logs() as logs:
        canceled.see_cancel_and_stop_redis()
        ended = threads.submit(canceled.session.end_job, JobState.CANCELED)
        while not ended.done() and not any(log["event"] == "waiting_for_service" for log in logs):
            threading.Event().wait(0.01)
        own_valkey.start()
        ended.result()
    job = canceled.ledger.get(canceled.id)
    assert (job.state, job.leases_lost) == (JobState.CANCELED, 0)


def test_a_drain_does_not_wait_for_redis_to_record_a_cancel(canceled: CanceledJob) -> None:
    with canceled.heartbeat:
        canceled.see_cancel_and_stop_redis()
        canceled.drain.set()
        with pytest.raises(LedgerUnavailable):
            canceled.session.end_job(JobState.CANCELED)
