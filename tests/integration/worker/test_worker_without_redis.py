"""Real workers while Redis is unavailable, has lost its data, or returns."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from structlog.testing import capture_logs
from support.fixtures.valkey import Valkey
from support.fixtures.worker import WorkerRig

from easel.models import JobState
from shared.errors import StorageUnavailable
from shared.ledger.ledger import connect
from shared.recovery import job_files
from shared.recovery.rebuild import rebuild_ledger
from shared.services import ensure_paired
from shared.storage import keys
from worker.maintenance.reaper import Reaper


@pytest.fixture
def own_redis_rig(tmp_path: Path, own_valkey: Valkey, random_weights: Path) -> Iterator[WorkerRig]:
    """A rig with a separate Redis that the test may stop."""
    rig = WorkerRig(tmp_path, own_valkey.url, random_weights)
    yield rig
    rig.stop()


def test_a_drain_while_redis_is_unavailable_loses_no_step(own_redis_rig: WorkerRig, own_valkey: Valkey) -> None:
    rig = own_redis_rig
    worker = rig.start_worker(checkpoint_seconds=3600)
    job_id = rig.submit(steps=3000)
    before = rig.wait(job_id, lambda job: job.progress.current >= 5)
    own_valkey.stop()
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    own_valkey.start()
    assert rig.services.ledger.get(job_id).checkpoint is None, "the record could not be written"
    rig.start_worker("two")
    expire_leases(rig)
    resumed = rig.wait(job_id, lambda job: job.resumed_from_step is not None)
    assert (resumed.resumed_from_step or 0) >= before.progress.current
    adopted = rig.wait(job_id, lambda job: job.checkpoint is not None)
    assert (adopted.claim or "?") in (adopted.checkpoint or "")


def test_the_end_of_a_job_survives_redis_even_if_it_was_not_finalized(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    rig.start_worker()
    job = rig.done(rig.submit())
    rig.wait(job.id, lambda _: not rig.services.ledger.list_unfinalized_ids(older_than_seconds=-1))
    rig.services.blobs.delete(keys.final(job.id))
    job_files.write_pending_outcome(rig.services.blobs, job, "token")
    connect(rig.settings.redis_url).flushall()
    assert rebuild_ledger(rig.services) == 1
    restored = rig.services.ledger.get(job.id)
    assert (restored.state, restored.result) == (JobState.SUCCEEDED, job.result)


def test_a_canceled_job_is_restored_as_canceled_despite_a_pending_outcome(rig: WorkerRig) -> None:
    job_id = rig.submit()
    claim = rig.services.ledger.claim("dies", ("standard",), lease_seconds=60)
    assert claim is not None
    job_files.write_pending_outcome(
        rig.services.blobs, claim.job.model_copy(update={"state": JobState.SUCCEEDED}), claim.token
    )
    job_files.write_control_request(rig.services.blobs, job_id, "cancel")
    connect(rig.settings.redis_url).flushall()
    assert rebuild_ledger(rig.services) == 1
    assert rig.services.ledger.get(job_id).state is JobState.CANCELED


def test_a_late_control_request_is_withdrawn_unless_it_ended_the_job(rig: WorkerRig) -> None:
    blobs, ledger = rig.services.blobs, rig.services.ledger
    canceled, running = rig.submit(), rig.submit()
    ledger.request_control(canceled, "cancel")
    for job_id in (canceled, running):
        job_files.write_control_request(blobs, job_id, "cancel")
        job_files.withdraw_control_request(ledger, blobs, job_id)
    assert blobs.exists(keys.control_request(canceled))
    assert not blobs.exists(keys.control_request(running))


def test_no_worker_loses_its_job_because_redis_was_unavailable(own_redis_rig: WorkerRig, own_valkey: Valkey) -> None:
    rig = own_redis_rig
    rig.start_worker()
    job_id = rig.submit(steps=3000)
    rig.wait(job_id, lambda job: job.progress.current >= 3)
    reaper = Reaper(rig.services)
    own_valkey.stop()
    own_valkey.start()
    expire_leases(rig)
    reaper.recover()
    assert rig.services.ledger.get(job_id).state is JobState.RUNNING
    rig.wait(job_id, lambda job: job.progress.current >= 8, reap=False)
    assert rig.services.ledger.get(job_id).claims == 1


def test_no_worker_loses_its_job_because_redis_was_full(
    tmp_path: Path, own_valkey: Valkey, random_weights: Path
) -> None:
    rig = WorkerRig(tmp_path, own_valkey.url, random_weights, lease_seconds=3)
    job_id, ledger = rig.submit(), rig.services.ledger
    reaper, stop = Reaper(rig.services), threading.Event()
    rounds = threading.Thread(target=reaper.run, args=(stop,), daemon=True)
    with own_valkey.client() as client, capture_logs() as logs:
        rounds.start()
        ledger.claim("dies", ("standard",), lease_seconds=0)
        rig.wait(job_id, lambda job: job.leases_lost == 1, reap=False)  # the reaper's first grace period is over
        ledger.claim("busy", ("standard",), lease_seconds=60)
        client.config_set("maxmemory", 1)
        while not any(log["event"] == "ledger_unavailable" for log in logs):
            threading.Event().wait(0.01)
        client.config_set("maxmemory", 0)
        stop.set()
        rounds.join()
    expire_leases(rig)
    reaper.recover()
    assert ledger.get(job_id).state is JobState.RUNNING


def test_a_blob_store_that_lost_its_blobs_does_not_count_as_new(rig: WorkerRig) -> None:
    rig.submit()
    rig.services.blobs.delete("ledger.json")
    with pytest.raises(StorageUnavailable, match="is its disk mounted"):
        ensure_paired(rig.services)


def expire_leases(rig: WorkerRig) -> None:
    """Let all leases expire."""
    client: redis.Redis = connect(rig.settings.redis_url)
    for job_id in client.zrange("easel:leases", 0, -1):  # type: ignore[union-attr]
        client.zadd("easel:leases", {job_id: 0})
