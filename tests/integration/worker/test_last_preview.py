"""The preview of the result, which is written when a job ends."""

import json
import threading

import pytest
from browser.blend_engine import DIVERGING_SEED, BlendEngine
from support.fixtures.api import Submit

from easel.models import JobState
from shared.dispatch import own_queue
from shared.services import Services
from worker.devices.memory import WorkerMemory
from worker.job.checkpoints import CheckpointWriter
from worker.job.run import claim_next_job, run_job
from worker.job.worker_state import WorkerState
from worker.protocols import Iterate
from worker.registration import Registration

RECIPE = {"preset": "fast", "init": "content", "size": 128, "steps": 6, "stages": [{"scale": 1, "share": 1}]}


@pytest.mark.parametrize(
    ("seed", "state", "code"), [(DIVERGING_SEED, JobState.FAILED, "diverged"), (1, JobState.SUCCEEDED, None)]
)
def test_a_job_whose_last_preview_does_not_fit_into_memory_keeps_its_end_and_its_result(
    submit: Submit, services: Services, monkeypatch: pytest.MonkeyPatch, *, seed: int, state: JobState, code: str | None
) -> None:
    job_id = submit(recipe=json.dumps(RECIPE | {"seed": seed})).get_json()["id"]
    write_preview = CheckpointWriter.write_preview

    def write_if_in_background(writer: CheckpointWriter, iterate: Iterate) -> None:
        if threading.current_thread() is threading.main_thread():
            raise MemoryError("no room for a preview")
        write_preview(writer, iterate)

    monkeypatch.setattr(CheckpointWriter, "write_preview", write_if_in_background)
    registration = Registration(services.queue_stats, "one", services.settings.tiers, WorkerMemory("host", 0))
    worker = WorkerState(BlendEngine(0), "one", registration, services.settings)
    session = claim_next_job(services, worker, own_queue("one"))
    assert session is not None
    run_job(worker, session)
    job = services.ledger.get(job_id)
    assert (job.state, job.error.code if job.error else None) == (state, code)
    assert services.blobs.exists(job.result or "")
