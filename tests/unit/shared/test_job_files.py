"""A job's files in the blob store."""

import json

from shared.jobs.job import JobRequest
from shared.presets import PRESETS
from shared.recovery.job_files import read_handoff_note, write_control_request, write_handoff_note
from shared.storage import MemoryBlobStore, keys


def test_a_finish_never_replaces_a_cancel() -> None:
    blobs = MemoryBlobStore()
    for action in ("finish", "cancel", "finish"):
        write_control_request(blobs, "job", action)
    assert json.loads(blobs.get(keys.control_request("job")))["action"] == "cancel"


def test_a_stored_request_may_have_parameters_unknown_to_this_version() -> None:
    request = JobRequest(id="id", tier="t", recipe=PRESETS["fast"], content="c", styles=(), created_at=0, digest="d")
    stored = json.loads(request.model_dump_json())
    stored["recipe"]["a_parameter_of_another_version"] = 1
    stored["recipe"]["optimizer"]["another"] = 2
    assert JobRequest.model_validate(stored).recipe == PRESETS["fast"]


def test_a_handoff_note_belongs_to_the_token_that_wrote_it() -> None:
    blobs = MemoryBlobStore()
    write_handoff_note(blobs, "job", "writer", "jobs/job/checkpoints/writer-000007")
    assert read_handoff_note(blobs, "job", "writer") == "jobs/job/checkpoints/writer-000007"
    assert read_handoff_note(blobs, "job", "other") is None
