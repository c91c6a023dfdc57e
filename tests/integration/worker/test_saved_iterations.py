"""Real workers save the images of every n-th step, also if they are killed in between."""

import io
import signal

import numpy as np
import pytest
from PIL import Image
from support.fixtures.worker import LONG, WorkerRig, checkpoint_step, reached, sample_image
from support.image_files import decode_png

from easel.models import JobState
from shared.jobs.job import Job
from shared.storage import keys


def images_of(rig: WorkerRig, job: Job) -> dict[int, bytes]:
    """Return the saved images by step."""
    return {step: rig.services.blobs.get(job.iterations.key(job.id, step)) for step in job.iterations.steps}


def names_of(rig: WorkerRig, job: Job) -> list[str]:
    """Return the keys of all blobs of saved iterations, without the job's prefix."""
    prefix = keys.iterations_prefix(job.id)
    return sorted(blob.key.removeprefix(prefix) for blob in rig.services.blobs.list(prefix))


def size_of(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


@pytest.mark.parametrize(("optimizer", "victim"), [("adam", "child"), ("lbfgs", "parent")])
def test_a_killed_workers_job_has_the_same_images_as_an_undisturbed_one(
    short_lease_rig: WorkerRig, optimizer: str, victim: str
) -> None:
    rig = short_lease_rig
    recipe = {"steps": 120, "save_every": 10, "color": "content", "optimizer": {"kind": optimizer}}
    worker = rig.start_worker()
    undisturbed = rig.done(rig.submit(**recipe))
    job_id = rig.submit(**recipe)
    rig.wait(job_id, lambda job: checkpoint_step(job) > 10, reap=False)
    if victim == "child":
        rig.kill_child()
    else:
        worker.kill()
        rig.start_worker("two")
    disturbed = rig.done(job_id)
    assert disturbed.claims == 2
    assert (disturbed.resumed_from_step or 0) > 0
    assert disturbed.iterations.steps == list(range(10, 121, 10))
    assert images_of(rig, disturbed) == images_of(rig, undisturbed)
    assert names_of(rig, disturbed) == names_of(rig, undisturbed), "a repeated step has the same key"
    assert images_of(rig, disturbed)[120] == rig.result_of(disturbed), "postprocessed like the result"
    assert rig.result_of(disturbed) == rig.result_of(undisturbed)


@pytest.mark.parametrize("fault", ["kill", "drain"])
def test_a_store_that_refuses_an_iteration_delays_the_job_instead_of_losing_the_image(
    sleep_engine_rig: WorkerRig, fault: str
) -> None:
    rig = sleep_engine_rig
    worker = rig.start_worker()
    job_id = rig.submit(steps=120, save_every=60)
    folder = rig.folder / "blobs" / "jobs" / job_id / "iterations"
    rig.wait(job_id, reached(1))
    folder.touch()  # a file where the folder should be
    rig.wait(job_id, reached(60))
    if fault == "drain":
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)
        rig.start_worker("two")
    else:
        rig.kill_child()
    folder.unlink()
    job = rig.done(job_id)
    assert job.iterations.steps == [60, 120]
    assert (job.resumed_from_step or 0) < 60


def test_a_saved_image_has_the_size_of_its_step(shared_rig: WorkerRig) -> None:
    rig = shared_rig
    stages = [{"scale": 0.5, "share": 0.5}, {"scale": 1, "share": 0.5}]
    for recipe, sizes in (
        ({"size": 128, "steps": 8, "stages": stages}, {2: (64, 48), 4: (128, 96), 6: (128, 96), 8: (128, 96)}),
        ({"init": "patches", "size": 192, "steps": 0}, {2: (96, 72), 4: (192, 144), 6: (192, 144)}),
    ):
        job = rig.done(rig.submit(**recipe, save_every=2))
        assert {step: size_of(png) for step, png in images_of(rig, job).items()} == sizes


def test_a_saved_image_has_the_alpha_and_the_bit_depth_of_the_result(shared_rig: WorkerRig) -> None:
    rig = shared_rig
    photo = sample_image(1)
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    job = rig.done(rig.submit(photo=photo, bit_depth=16, steps=6, save_every=3))
    images = images_of(rig, job)
    first, last, result = map(decode_png, (images[3], images[6], rig.result_of(job)))
    np.testing.assert_array_equal(last, result)
    np.testing.assert_array_equal(first[..., 3], result[..., 3])
    assert (first.dtype, first.shape) == (np.uint16, (48, 64, 4))


def test_a_canceled_job_keeps_its_iterations(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    rig.start_worker()
    job_id = rig.submit(**LONG, save_every=30)
    rig.wait(job_id, lambda job: bool(job.iterations.steps))
    rig.services.ledger.request_control(job_id, "cancel")
    job = rig.done(job_id, JobState.CANCELED)
    assert job.iterations.steps == list(range(30, (job.stopped_at_step or 0) + 1, 30))
    assert len(names_of(rig, job)) == len(images_of(rig, job)) > 0
