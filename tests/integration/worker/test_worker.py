"""Real workers run real jobs to their end: success, cancel, early finish, or failure."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.fixtures.worker import LONG, WorkerRig, reached, sample_image
from support.image_files import decode_png
from support.requirements import PYTHONPATH
from support.small_calibration import SMALL_CALIBRATION

from easel.models import JobState
from shared.imaging.color_profiles import DISPLAY_P3_PROFILE
from shared.imaging.deep_color import decode_stored
from shared.jobs.job import Job
from shared.ledger.queue_stats import STARTING
from shared.storage import keys
from worker.engine.weights.calibrated.calibrate import calibrated_file
from worker.engine.weights.hdf5 import load_kernels, save_kernels


def running(job: Job) -> bool:
    return job.state is JobState.RUNNING


def test_a_job_is_rendered_and_published_with_its_provenance_and_events(shared_rig: WorkerRig) -> None:
    rig = shared_rig
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


def test_patch_matching_is_the_first_part_of_a_jobs_steps(shared_rig: WorkerRig) -> None:
    rig = shared_rig
    job = rig.done(rig.submit(init="patches", steps=6))
    assert (job.progress.current, job.progress.total) == (9, 9)
    assert json.loads(rig.services.blobs.get(keys.provenance(job.result or "")))["steps"] == 9
    reported = [event.data for event in rig.services.events.since(job.id) if event.kind == "progress"]
    assert {data["progress"]["total"] for data in reported} == {9}
    assert all(("losses" in data) == (not data["progress"]["phase"].startswith("patches")) for data in reported)


def test_a_jobs_masks_and_start_image_reach_the_engine(shared_rig: WorkerRig) -> None:
    rig = shared_rig
    left = Image.new("RGB", (64, 48))
    left.paste("white", (0, 0, 32, 48))
    start_image = Image.new("RGB", (64, 48), (250, 10, 10))
    recipe = {"init": "image", "steps": 1, "style_weight": 0, "variation_weight": 0, "content_weight": 1e-6}
    job = rig.done(rig.submit(masks=[left], init_image=start_image, **recipe))
    image = np.asarray(Image.open(io.BytesIO(rig.result_of(job))), np.float32)
    np.testing.assert_allclose(image[:, :30].mean(axis=(0, 1)), (250, 10, 10), atol=12)
    np.testing.assert_allclose(image[:, 34:], np.asarray(sample_image(1).resize((64, 48)))[:, 34:], atol=25)
    provenance = json.loads(rig.services.blobs.get(keys.provenance(job.result or "")))
    assert provenance["init_image_sha256"] == job.request.init_image
    assert provenance["content_mask_sha256"] == list(job.request.content_masks)


def test_a_result_has_the_alpha_of_its_photo(shared_rig: WorkerRig) -> None:
    rig = shared_rig
    photo = sample_image(1)
    photo.putalpha(Image.linear_gradient("L").resize(photo.size).point(lambda level: max(1, level)))
    opaque = rig.done(rig.submit())
    result = Image.open(io.BytesIO(rig.result_of(rig.done(rig.submit(photo=photo)))))
    assert (result.mode, result.size) == ("RGBA", (64, 48))
    expected = np.asarray(photo.getchannel("A").resize(result.size, Image.Resampling.BILINEAR), np.float32)
    np.testing.assert_allclose(np.asarray(result.getchannel("A"), np.float32), expected, atol=1)
    np.testing.assert_array_equal(
        np.asarray(result)[..., :3], np.asarray(Image.open(io.BytesIO(rig.result_of(opaque))))
    )


def test_a_result_of_16_bits_is_the_same_picture_with_finer_levels(shared_rig: WorkerRig) -> None:
    rig = shared_rig
    deep = decode_png(rig.result_of(rig.done(rig.submit(bit_depth=16))))
    eight = decode_png(rig.result_of(rig.done(rig.submit())))
    assert (deep.dtype, eight.dtype) == (np.uint16, np.uint8)
    np.testing.assert_allclose(deep / 257, eight, atol=0.51)
    assert len(np.unique(deep)) > 1000, "levels between those of 8 bits"


def test_a_photo_with_wide_colors_has_a_result_with_them_and_a_preview_in_srgb(rig: WorkerRig) -> None:
    rig.start_worker()
    photo = Image.new("RGB", (64, 48), (250, 10, 20))
    photo.info["icc_profile"] = DISPLAY_P3_PROFILE
    start = Image.new("RGB", (64, 48), (255, 0, 0))  # in sRGB
    options = {"init": "image", "steps": 1, "style_weight": 0, "variation_weight": 0, "content_weight": 1e-6}
    job = rig.done(rig.submit(photo=photo, init_image=start, **options))
    result = decode_stored(rig.result_of(job))
    assert result.color_space == "display-p3"
    np.testing.assert_allclose(result.pixels.mean(axis=(0, 1)), (234, 51, 35), atol=8)
    preview = Image.open(io.BytesIO(rig.services.blobs.get(job.preview or "")))
    np.testing.assert_allclose(np.asarray(preview).mean(axis=(0, 1)), (255, 0, 0), atol=8)
    provenance = json.loads(rig.services.blobs.get(keys.provenance(job.result or "")))
    assert (provenance["recipe"]["color_space"], job.request.recipe.color_space) == ("display-p3", "auto")


def test_a_canceled_job_keeps_its_preview_but_no_result_or_checkpoint(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
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


def test_a_job_finished_early_equals_a_job_submitted_with_that_number_of_steps(shared_rig: WorkerRig) -> None:
    rig = shared_rig
    one_size = {"stages": [{"scale": 1, "share": 1}]}
    job_id = rig.submit(steps=3000, **one_size)
    rig.wait(job_id, reached(3))
    rig.services.ledger.request_control(job_id, "finish")
    early = rig.done(job_id)
    assert early.stopped_early
    exact = rig.done(rig.submit(steps=early.stopped_at_step, **one_size))
    assert rig.result_of(early) == rig.result_of(exact)


def test_two_workers_run_each_of_ten_jobs_once(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    rig.start_worker("one", threads=1)
    rig.start_worker("two", threads=1)
    ids = [rig.submit(seed=number, steps=3) for number in range(10)]
    jobs = [rig.done(job_id) for job_id in ids]
    assert [job.claims for job in jobs] == [1] * 10


def test_a_long_job_returns_to_the_queue_after_its_time_slice_if_others_wait(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    rig.start_worker(slice_seconds=0.5)
    long, short = rig.submit(**LONG), rig.submit()
    rig.done(short)
    job = rig.wait(long, lambda job: job.claims > 1 and running(job))
    assert job.checkpoint is not None


def test_a_tenant_at_its_limit_of_running_jobs_gets_the_next_at_once_in_another_tier(
    sleep_engine_rig: WorkerRig,
) -> None:
    rig = sleep_engine_rig
    for name, tier in (("one", "batch"), ("two", "standard")):
        rig.environment = {**rig.environment, "EASEL_TENANT_RUNNING_JOBS": "1", "EASEL_TIERS": tier}
        rig.start_worker(name)
    first = rig.submit(tier="batch", **LONG)
    rig.wait(first, reached(1), reap=False)
    second = rig.submit()
    rig.wait(first, lambda _: not rig.services.dispatcher.pending("standard"), reap=False)
    rig.services.ledger.request_control(first, "cancel")
    rig.wait(second, lambda job: job.state is JobState.SUCCEEDED, reap=False)


def test_a_loss_that_is_never_finite_fails_the_job(rig: WorkerRig, tmp_path: Path) -> None:
    kernels = load_kernels(Path(rig.settings.weights))
    huge = {layer: (kernel, bias + np.float32(1e38)) for layer, (kernel, bias) in kernels.items()}
    save_kernels(tmp_path / "huge.h5", huge)
    rig.start_worker(weights=str(tmp_path / "huge.h5"))
    job = rig.done(rig.submit(), JobState.FAILED)
    assert job.error is not None
    assert job.error.code == "diverged"
    assert job.result is None


def test_without_weights_only_a_job_with_evaluations_fails(rig: WorkerRig, tmp_path: Path) -> None:
    rig.start_worker(weights=str(tmp_path / "nowhere.h5"))
    failed = rig.done(rig.submit(), JobState.FAILED)
    assert failed.error is not None
    assert failed.error.code == "weights_unavailable"
    job = rig.done(rig.submit(preset="patches", init="patches", steps=0))
    assert (job.progress.current, job.progress.percentage, job.losses) == (2, 100, None)
    assert not job.stopped_early
    provenance = json.loads(rig.services.blobs.get(keys.provenance(job.result or "")))
    assert provenance["weights"] == {"source": "none", "sha256": ""}


def test_a_worker_learns_filters_once_and_its_job_shows_it(rig: WorkerRig) -> None:
    rig.command, rig.environment = ("support.small_calibration",), {"PYTHONPATH": PYTHONPATH}
    rig.start_worker(weights="calibrated", slice_seconds=0.5)
    worker = rig.wait_for_worker(lambda worker: worker.device != STARTING)
    assert worker.weights_seconds > 0, "estimates count it before a job is submitted"
    first = rig.done(rig.submit())
    events = list(rig.services.events.since(first.id))
    phases = [event.data["progress"]["phase"] for event in events if event.kind == "progress"]
    assert phases[0].startswith("learning filters, once")
    assert phases[-1].endswith("px")
    (warning,) = (event.data for event in events if event.kind == "warning")
    assert (warning["code"], "EASEL_WEIGHTS=imagenet" in warning["detail"]) == ("calibrated_weights", True)
    provenance = json.loads(rig.services.blobs.get(keys.provenance(first.result or "")))
    assert provenance["weights"]["source"] == "calibrated"
    rig.wait_for_worker(lambda worker: worker.weights_seconds == 0)
    second, _ = rig.submit(**LONG), rig.submit()
    rig.wait(second, lambda job: job.claims > 1 and running(job))
    rig.services.ledger.request_control(second, "finish")
    rig.done(second)
    phases = [e.data["progress"]["phase"] for e in rig.services.events.since(second) if e.kind == "progress"]
    assert not any("learning" in phase for phase in phases)
    assert rig.warnings(second) == ["calibrated_weights"], "once, not with each of its claims"


def test_a_worker_takes_no_time_to_learn_filters_into_account_that_another_has_learned(
    rig: WorkerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.start_worker(weights="calibrated")
    rig.wait_for_worker(lambda worker: worker.weights_seconds > 0)
    for module, name, value in SMALL_CALIBRATION:
        monkeypatch.setattr(f"{module}.{name}", value)
    calibrated_file(rig.settings.cache, progress=lambda *_: None)
    rig.done(rig.submit(preset="patches", init="patches", steps=0))
    rig.wait_for_worker(lambda worker: worker.weights_seconds == 0)
