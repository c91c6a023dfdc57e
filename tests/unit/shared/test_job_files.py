"""The blob store's account of a job."""

import json

from shared.jobs.job import JobRequest
from shared.recipe import PRESETS
from shared.recovery.job_files import read_handoff_note, write_control_request, write_handoff_note
from shared.storage import MemoryBlobStore, keys


def test_a_cancel_is_never_weakened_to_a_finish() -> None:
    blobs = MemoryBlobStore()
    for wish in ("finish", "cancel", "finish"):
        write_control_request(blobs, "job", wish)
    assert json.loads(blobs.get(keys.control_request("job")))["action"] == "cancel"


def test_a_stored_request_may_name_knobs_that_this_version_does_not_know() -> None:
    asked = JobRequest(id="id", tier="t", recipe=PRESETS["fast"], content="c", styles=(), created_at=0, digest="d")
    stored = json.loads(asked.model_dump_json())
    stored["recipe"]["a_knob_of_another_version"] = 1
    stored["recipe"]["optimizer"]["another"] = 2
    assert JobRequest.model_validate(stored).recipe == PRESETS["fast"]


def test_a_parting_note_is_read_by_the_token_that_left_it_only() -> None:
    blobs = MemoryBlobStore()
    write_handoff_note(blobs, "job", "left", "jobs/job/checkpoints/left-000007")
    assert read_handoff_note(blobs, "job", "left") == "jobs/job/checkpoints/left-000007"
    assert read_handoff_note(blobs, "job", "other") is None
