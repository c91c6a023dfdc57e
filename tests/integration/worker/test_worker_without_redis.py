"""Real workers while Redis is away, has lost its memory, or comes back."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from support.fixtures.valkey import Valkey
from support.fixtures.worker import Rig

from easel.models import JobState
from shared.errors import BlobsUnavailable
from shared.jobs.job import Job
from shared.ledger.ledger import connect
from shared.recovery import job_files
from shared.services import ensure_paired
from shared.storage import keys
from worker.maintenance.reaper import Reaper


@pytest.fixture
def lonely_rig(tmp_path: Path, own_valkey: Valkey, random_weights: Path) -> Iterator[Rig]:
    """Over a Redis that the test may stop."""
    rig = Rig(tmp_path, own_valkey.url, random_weights)
    yield rig
    rig.stop()


def kept_step(job: Job) -> int:
    return keys.step_of(job.checkpoint)


def test_a_drain_while_redis_is_away_loses_no_step(lonely_rig: Rig, own_valkey: Valkey) -> None:
    rig = lonely_rig
    worker = rig.start_worker(checkpoint_seconds=3600)
    job_id = rig.submit(steps=3000)
    before = rig.wait(job_id, lambda job: job.progress.current >= 5)
    own_valkey.stop()
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    own_valkey.start()
    assert rig.services.ledger.get(job_id).checkpoint is None, "the record could not be told"
    rig.start_worker("two")
    expire_leases(rig)
    resumed = rig.wait(job_id, lambda job: job.resumed_from_step is not None)
    assert (resumed.resumed_from_step or 0) >= before.progress.current
    adopted = rig.wait(job_id, lambda job: job.checkpoint is not None)
    assert (adopted.claim or "?") in (adopted.checkpoint or "")


def test_an_end_that_the_store_was_not_told_of_is_not_forgotten_with_redis(rig: Rig) -> None:
    rig.start_worker()
    job = rig.done(rig.submit())
    rig.wait(job.id, lambda _: not rig.services.ledger.unsealed(older_than_seconds=-1))
    rig.services.blobs.delete(keys.final(job.id))
    job_files.write_verdict(rig.services.blobs, job, "token")
    connect(rig.settings.redis_url).flushall()
    assert job_files.reconcile(rig.services) == 1
    again = rig.services.ledger.get(job.id)
    assert (again.state, again.result) == (JobState.SUCCEEDED, job.result)


def test_a_job_that_was_canceled_stays_so_whatever_its_holder_was_about_to_declare(rig: Rig) -> None:
    job_id = rig.submit()
    claim = rig.services.ledger.claim("dies", ("standard",), lease_seconds=60)
    assert claim is not None
    job_files.write_verdict(rig.services.blobs, claim.job.model_copy(update={"state": JobState.SUCCEEDED}), claim.token)
    job_files.write_wish(rig.services.blobs, job_id, "cancel")
    connect(rig.settings.redis_url).flushall()
    assert job_files.reconcile(rig.services) == 1
    assert rig.services.ledger.get(job_id).state is JobState.CANCELED


def test_a_wish_that_came_too_late_is_taken_back_unless_it_is_what_ended_the_job(rig: Rig) -> None:
    blobs, ledger = rig.services.blobs, rig.services.ledger
    canceled, running = rig.submit(), rig.submit()
    ledger.request_control(canceled, "cancel")
    for job_id in (canceled, running):
        job_files.write_wish(blobs, job_id, "cancel")
        job_files.take_back_wish(ledger, blobs, job_id)
    assert blobs.exists(keys.requested(canceled))
    assert not blobs.exists(keys.requested(running))


def test_no_job_is_taken_from_its_worker_because_redis_was_away(lonely_rig: Rig, own_valkey: Valkey) -> None:
    rig = lonely_rig
    rig.start_worker()
    job_id = rig.submit(steps=3000)
    rig.wait(job_id, lambda job: job.progress.current >= 3)
    reaper = Reaper(rig.services)
    own_valkey.stop()
    own_valkey.start()
    expire_leases(rig)
    reaper.watch()
    assert rig.services.ledger.get(job_id).state is JobState.RUNNING
    rig.wait(job_id, lambda job: job.progress.current >= 8, reap=False)
    assert rig.services.ledger.get(job_id).epoch == 1


def test_a_store_that_lost_its_blobs_is_not_taken_for_a_new_one(rig: Rig) -> None:
    rig.submit()
    rig.services.blobs.delete("ledger.json")
    with pytest.raises(BlobsUnavailable, match="is its disk mounted"):
        ensure_paired(rig.services)


def expire_leases(rig: Rig) -> None:
    """As if a lease's time had gone by."""
    client: redis.Redis = connect(rig.settings.redis_url)
    for job_id in client.zrange("easel:leases", 0, -1):  # type: ignore[union-attr]
        client.zadd("easel:leases", {job_id: 0})
