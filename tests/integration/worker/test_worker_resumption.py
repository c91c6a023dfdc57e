"""Jobs whose worker was drained or suspended are resumed from their checkpoints; killed: test_saved_iterations.py."""

import os
import signal
from pathlib import Path

from support.fixtures.worker import LONG, WorkerRig, checkpoint_step, children, reached

from easel.models import JobState
from shared.ledger.ledger import connect
from shared.recovery.rebuild import rebuild_ledger
from shared.services import ensure_paired
from shared.storage import keys
from worker.engine.weights.hdf5 import load_kernels, save_kernels


def test_a_checkpoint_made_with_other_weights_is_not_resumed_from(rig: WorkerRig, tmp_path: Path) -> None:
    worker = rig.start_worker()
    job_id = rig.submit(**LONG)
    rig.wait(job_id, lambda job: checkpoint_step(job) > 0)
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    kernels = load_kernels(Path(rig.settings.weights))
    save_kernels(tmp_path / "other.h5", {layer: (kernel, bias + 1) for layer, (kernel, bias) in kernels.items()})
    rig.start_worker("two", weights=str(tmp_path / "other.h5"))
    rig.wait(job_id, lambda _: "checkpoint_unusable" in rig.warnings(job_id))
    assert rig.services.ledger.get(job_id).resumed_from_step is None


def test_a_drained_worker_returns_its_job_at_the_step_it_had_reached(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    worker = rig.start_worker()
    job_id = rig.submit(**LONG)
    rig.wait(job_id, reached(5))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    job = rig.services.ledger.get(job_id)
    assert job.state is JobState.QUEUED
    assert job.checkpoint is not None
    assert checkpoint_step(job) == job.progress.current
    rig.start_worker("two")
    assert rig.wait(job_id, lambda job: job.resumed_from_step is not None).resumed_from_step == job.progress.current


def test_a_worker_that_gets_sigterm_as_its_job_starts_does_not_wait_for_its_parent(
    sleep_engine_rig: WorkerRig,
) -> None:
    rig = sleep_engine_rig
    rig.command = ("support.unnoticed_start_worker",)
    worker = rig.start_worker()
    rig.wait(rig.submit(), reached(1))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0  # Celery would wait for 30 seconds


def test_a_damaged_checkpoint_falls_back_to_the_previous_one_with_a_warning(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    worker = rig.start_worker()
    job_id = rig.submit(**LONG)
    rig.wait(job_id, lambda job: job.previous_checkpoint is not None)
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    job = rig.services.ledger.get(job_id)
    rig.services.blobs.put(job.checkpoint or "", rig.services.blobs.get(job.checkpoint or "")[:-100])
    rig.start_worker("two")
    resumed = rig.wait(job_id, lambda job: job.resumed_from_step is not None)
    assert resumed.resumed_from_step == keys.checkpoint_step(job.previous_checkpoint)
    assert rig.warnings(job_id) == ["checkpoint_unusable"]


def test_a_redis_without_data_is_rebuilt_from_the_blob_store(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    worker = rig.start_worker()
    finished, stopped, half_done = rig.done(rig.submit()), rig.submit(**LONG), rig.submit(**LONG)
    rig.wait(stopped, reached(1))
    rig.services.ledger.request_control(stopped, "cancel")
    rig.done(stopped, JobState.CANCELED)
    rig.wait(half_done, lambda job: job.checkpoint is not None)
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    before = rig.services.ledger.get(half_done)
    connect(rig.settings.redis_url).flushall()
    assert not ensure_paired(rig.services)
    assert rebuild_ledger(rig.services) == 3
    assert ensure_paired(rig.services)
    assert rig.services.ledger.get(finished.id).result == finished.result
    assert rig.services.ledger.get(stopped).state is JobState.CANCELED
    after = rig.services.ledger.get(half_done)
    assert (after.state, after.checkpoint) == (JobState.QUEUED, before.checkpoint)
    assert rebuild_ledger(rig.services) == 0


def test_a_worker_that_was_suspended_past_its_lease_is_fenced(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    worker = rig.start_worker()
    job_id = rig.submit(**LONG)
    rig.wait(job_id, reached(2))
    suspended = children(worker.pid)
    for pid in suspended:
        os.kill(pid, signal.SIGSTOP)
    rig.wait(job_id, lambda job: job.state is JobState.QUEUED)
    rig.start_worker("two")
    resumed = rig.wait(job_id, lambda job: job.claims == 2 and job.resumed_from_step is not None)
    for pid in suspended:
        os.kill(pid, signal.SIGCONT)
    rig.services.ledger.request_control(job_id, "finish")
    job = rig.done(job_id)
    assert job.result == keys.result(job_id, resumed.claim or "")
