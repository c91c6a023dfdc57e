"""The end of a claim in a drain while Redis is unavailable; with real workers: test_worker_without_redis.py."""

import threading
from pathlib import Path

import numpy as np
import pytest
from chaos.stack.engine import SleepIterate
from structlog.testing import capture_logs
from support.fixtures.valkey import Valkey
from support.fixtures.worker import WorkerRig

from shared.errors import LedgerUnavailable
from shared.recovery.job_files import read_handoff_note
from shared.storage import keys
from worker.devices.memory import WorkerMemory
from worker.job.checkpoints import CheckpointWriter
from worker.job.session import JobSession

IMAGE = np.zeros((36, 48, 3), np.uint32)


@pytest.fixture
def session(tmp_path: Path, own_valkey: Valkey) -> JobSession:
    """A claim whose worker drains just after Redis became unavailable."""
    rig, drain = WorkerRig(tmp_path, own_valkey.url, tmp_path / "no-weights.h5"), threading.Event()
    rig.submit()
    session = JobSession.claim_next(rig.services, "one", WorkerMemory("host", 0), drain)
    assert session
    own_valkey.stop()
    drain.set()
    return session


def test_the_handoff_note_is_written_before_the_first_wait_for_redis(session: JobSession) -> None:
    writer = CheckpointWriter(session, resumed_from=None, metadata={})
    with capture_logs() as logs:
        writer.hand_off(SleepIterate(5, 40, IMAGE, IMAGE))
    assert [log["event"] for log in logs][:2] == ["handoff_note_written", "waiting_for_service"]
    assert keys.checkpoint_step(read_handoff_note(session.blobs, session.job.id, session.token)) == 5


def test_a_drain_waits_for_redis_in_its_first_call_and_not_in_the_next(session: JobSession) -> None:
    with pytest.raises(LedgerUnavailable):
        session.retry(session.release, "head")
    with capture_logs() as logs, pytest.raises(LedgerUnavailable):
        session.retry(session.release, "head")
    assert [log["event"] for log in logs] == ["waiting_for_service"]
