"""Real workers run real jobs: they are controlled, drained, killed and inspected."""

import hashlib
import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.fixtures.worker import WorkerRig, children

from easel.models import JobState
from shared.jobs.job import Job
from shared.ledger.ledger import connect
from shared.recovery.rebuild import rebuild_ledger
from shared.services import ensure_paired
from shared.storage import keys
from worker.engine.weights.hdf5 import load_kernels, save_kernels

LONG = {"steps": 3000}


def reached(step: int) -> Callable[[Job], bool]:
    return lambda job: job.progress.current >= step


def checkpoint_step(job: Job) -> int:
    return keys.checkpoint_step(job.checkpoint)


def warnings(rig: WorkerRig, job_id: str) -> list[str]:
    return [event.data["code"] for event in rig.services.events.since(job_id) if event.kind == "warning"]


def running(job: Job) -> bool:
    return job.state is JobState.RUNNING


def test_a_job_is_rendered_and_published_with_its_provenance_and_events(rig: WorkerRig) -> None:
    rig.start_worker()
    job = rig.done(rig.submit())
    result = rig.result_of(job)
    assert Image.open(io.BytesIO(result)).size == (64, 48)
    provenance = json.loads(rig.services.blobs.get(keys.provenance(job.result or "")))
    assert provenance["result_sha256"] == hashlib.sha256(result).hexdigest()
    assert provenance["weights"]["source"] == "path"
    assert (provenance["steps"], provenance["bitwise"]) == (6, True)
    assert job.progress.percentage == 100
    assert Image.open(io.BytesIO(rig.services.blobs.get(job.preview or ""))).format == "JPEG"
    assert rig.services.filmstrip.previews(job.id)[-1].key == job.preview
    kinds = [event.kind for event in rig.services.events.since(job.id)]
    assert kinds[:2] == ["state", "state"]
    assert kinds[-1] == "state"
    rig.wait(job.id, lambda _: not rig.services.ledger.list_unfinalized_ids(older_than_seconds=-1))
    assert json.loads(rig.services.blobs.get(keys.final(job.id)))["state"] == "succeeded"


@pytest.mark.parametrize(("optimizer", "victim"), [("adam", "child"), ("lbfgs", "parent")])
def test_a_job_whose_worker_was_killed_has_the_same_bytes_as_an_undisturbed_one(
    short_lease_rig: WorkerRig, optimizer: str, victim: str
) -> None:
    rig, recipe = short_lease_rig, {"steps": 120, "optimizer": {"kind": optimizer}}
    worker = rig.start_worker()
    undisturbed = rig.done(rig.submit(**recipe))
    job_id = rig.submit(**recipe)
    rig.wait(job_id, lambda job: checkpoint_step(job) > 0, reap=False)
    if victim == "child":
        rig.kill_child()
    else:
        worker.kill()
        rig.start_worker("two")
    disturbed = rig.done(job_id)
    assert disturbed.epoch == 2
    assert (disturbed.resumed_from_step or 0) > 0
    assert rig.result_of(disturbed) == rig.result_of(undisturbed)


def test_a_checkpoint_made_with_other_weights_is_not_resumed_from(rig: WorkerRig, tmp_path: Path) -> None:
    worker = rig.start_worker()
    job_id = rig.submit(**LONG)
    rig.wait(job_id, lambda job: checkpoint_step(job) > 0)
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    kernels = load_kernels(Path(rig.settings.weights))
    save_kernels(tmp_path / "other.h5", {layer: (kernel, bias + 1) for layer, (kernel, bias) in kernels.items()})
    rig.start_worker("two", weights=str(tmp_path / "other.h5"))
    rig.wait(job_id, lambda _: "checkpoint_unusable" in warnings(rig, job_id))
    assert rig.services.ledger.get(job_id).resumed_from_step is None


def test_a_drained_worker_returns_its_job_at_the_step_it_had_reached(rig: WorkerRig) -> None:
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


def test_a_canceled_job_keeps_its_preview_but_no_result_or_checkpoint(rig: WorkerRig) -> None:
    rig.start_worker()
    job_id = rig.submit(**LONG)
    rig.wait(job_id, reached(2))
    rig.services.ledger.request_control(job_id, "cancel")
    job = rig.done(job_id, JobState.CANCELED)
    assert (job.cancel_requested_at or 0) < (job.acknowledged_at or 0) <= (job.canceled_at or 0)
    acknowledged = [event.data for event in rig.services.events.since(job_id) if event.kind == "acknowledged"]
    assert acknowledged == [{"request": "cancel", "step": job.stopped_at_step}]
    assert (job.result, job.preview is not None) == (None, True)
    rig.wait(job_id, lambda _: not rig.services.ledger.list_unfinalized_ids(older_than_seconds=-1))
    assert list(rig.services.blobs.list(keys.checkpoints_prefix(job_id))) == []


def test_a_job_finished_early_equals_a_job_submitted_with_that_number_of_steps(rig: WorkerRig) -> None:
    rig.start_worker()
    one_size = {"stages": [{"scale": 1, "share": 1}]}
    job_id = rig.submit(steps=3000, **one_size)
    rig.wait(job_id, reached(3))
    rig.services.ledger.request_control(job_id, "finish")
    early = rig.done(job_id)
    assert early.stopped_early
    exact = rig.done(rig.submit(steps=early.stopped_at_step, **one_size))
    assert rig.result_of(early) == rig.result_of(exact)


def test_a_damaged_checkpoint_falls_back_to_the_previous_one_with_a_warning(rig: WorkerRig) -> None:
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
    assert warnings(rig, job_id) == ["checkpoint_unusable"]


def test_two_workers_run_each_of_ten_jobs_once(rig: WorkerRig) -> None:
    rig.start_worker("one", threads=1)
    rig.start_worker("two", threads=1)
    ids = [rig.submit(seed=number, steps=3) for number in range(10)]
    jobs = [rig.done(job_id) for job_id in ids]
    assert [job.epoch for job in jobs] == [1] * 10


def test_a_long_job_returns_to_the_queue_after_its_time_slice_if_others_wait(rig: WorkerRig) -> None:
    rig.start_worker(slice_seconds=0.5)
    long, short = rig.submit(**LONG), rig.submit()
    rig.done(short)
    job = rig.wait(long, lambda job: job.epoch > 1 and running(job))
    assert job.checkpoint is not None


def test_a_loss_that_is_never_finite_fails_the_job(rig: WorkerRig, tmp_path: Path) -> None:
    kernels = load_kernels(Path(rig.settings.weights))
    huge = {layer: (kernel, bias + np.float32(1e38)) for layer, (kernel, bias) in kernels.items()}
    save_kernels(tmp_path / "huge.h5", huge)
    rig.start_worker(weights=str(tmp_path / "huge.h5"))
    job = rig.done(rig.submit(), JobState.FAILED)
    assert job.error is not None
    assert job.error.code == "diverged"
    assert job.result is None


def test_missing_weights_fail_the_job_with_their_error_code(rig: WorkerRig, tmp_path: Path) -> None:
    rig.start_worker(weights=str(tmp_path / "nowhere.h5"))
    job = rig.done(rig.submit(), JobState.FAILED)
    assert job.error is not None
    assert job.error.code == "weights_unavailable"


def test_a_redis_without_data_is_rebuilt_from_the_blob_store(rig: WorkerRig) -> None:
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


def test_a_worker_that_was_suspended_past_its_lease_is_fenced(short_lease_rig: WorkerRig) -> None:
    rig = short_lease_rig
    worker = rig.start_worker()
    job_id = rig.submit(**LONG)
    rig.wait(job_id, reached(2))
    suspended = children(worker.pid)
    for pid in suspended:
        os.kill(pid, signal.SIGSTOP)
    rig.wait(job_id, lambda job: job.state is JobState.QUEUED)
    rig.start_worker("two")
    resumed = rig.wait(job_id, lambda job: job.epoch == 2 and job.resumed_from_step is not None)
    for pid in suspended:
        os.kill(pid, signal.SIGCONT)
    rig.services.ledger.request_control(job_id, "finish")
    job = rig.done(job_id)
    assert job.result == keys.result(job_id, resumed.claim or "")
