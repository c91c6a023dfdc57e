"""The blob store's account of a job."""

import json

from shared import keys
from shared.blobs import MemoryBlobs
from shared.job import Request
from shared.recipe import PRESETS
from shared.truth import read_parting, sweep, write_parting, write_request, write_wish

DAY = 24 * 3600.0


def request(content: str, *styles: str) -> Request:
    recipe = PRESETS["fast"]
    return Request(id=content, tier="t", recipe=recipe, content=content, styles=styles, created_at=0, digest="d")


def test_the_sweep_takes_old_inputs_that_no_job_refers_to_and_nothing_else() -> None:
    now = 0.0
    blobs = MemoryBlobs(lambda: now)
    for name in ("used", "painting", "orphan"):
        blobs.put(keys.input_image(name), b"old")
    write_request(blobs, request("used", "painting"))
    now = 10**12
    blobs.put(keys.input_image("young"), b"new")
    assert sweep(blobs, older_than_seconds=DAY) == 1
    assert [blob.key for blob in blobs.list("inputs/")] == ["inputs/painting", "inputs/used", "inputs/young"]
    assert sweep(blobs, older_than_seconds=DAY) == 0


def test_a_cancel_is_never_weakened_to_a_finish() -> None:
    blobs = MemoryBlobs()
    for wish in ("finish", "cancel", "finish"):
        write_wish(blobs, "job", wish)
    assert json.loads(blobs.get(keys.requested("job")))["wish"] == "cancel"


def test_a_stored_request_may_name_knobs_that_this_version_does_not_know() -> None:
    stored = json.loads(request("content").model_dump_json())
    stored["recipe"]["a_knob_of_another_version"] = 1
    stored["recipe"]["optimizer"]["another"] = 2
    assert Request.model_validate(stored).recipe == PRESETS["fast"]


def test_a_parting_note_is_read_by_the_token_that_left_it_only() -> None:
    blobs = MemoryBlobs()
    write_parting(blobs, "job", "left", "jobs/job/checkpoints/left-000007")
    assert read_parting(blobs, "job", "left") == "jobs/job/checkpoints/left-000007"
    assert read_parting(blobs, "job", "other") is None
