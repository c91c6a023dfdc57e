"""What the chaos run's audit says about the saved iterations of a job, and about its webhook."""

import time
from dataclasses import replace
from typing import Any

import pytest
from chaos.audit.evidence import Case, Evidence
from chaos.audit.guarantees import differing_images, missing_iterations, undelivered, wrong_deliveries
from chaos.audit.job_history import JobHistory
from chaos.clients.clients import AcceptedJob
from chaos.clients.images import photo, pixels
from chaos.clients.receiver import Delivery
from chaos.clients.requests import JobRequest as ClientRequest
from chaos.fault_log import FaultLog, StallDetector
from chaos.stack.engine import SleepingEngine

from easel.models import JobState, Progress
from shared.imaging.encoding import encode_png
from shared.jobs.job import Job, JobRequest
from shared.presets import resolve
from shared.storage import keys
from shared.storage.memory import MemoryBlobStore

RECIPE = {"preset": "fast", "init": "content", "steps": 20, "save_every": 6}


@pytest.fixture(scope="module")
def case() -> Case:
    """A job that was rendered and saved without a fault, and ended at step 20 without a result."""
    blobs, recipe = MemoryBlobStore(), resolve(RECIPE)
    for number in (0, 1):
        blobs.put(keys.input_image(str(number)), photo(number))
    request = JobRequest(
        id="j", tier="standard", recipe=recipe, content="0", styles=("1",), created_at=time.time(), digest="d"
    )
    job = Job(id="j", state=JobState.CANCELED, request=request, order=1, progress=Progress(total=20))
    saved = job.iterations
    images = pixels(photo(0)), [pixels(photo(1))]
    for iterate in SleepingEngine(None, step_seconds=0).stylize(*images, recipe.in_space("srgb"), None):
        if recipe.saves(iterate.step):
            png = encode_png(iterate.image)
            saved = saved.with_image(iterate.step, png)
            blobs.put(saved.key("j", iterate.step), png)
    job = job.model_copy(update={"iterations": saved, "stopped_at_step": 20})
    return Case(
        AcceptedJob("j", ClientRequest(RECIPE, photo(0), photo(1), "north"), 0.0), job, JobHistory("j"), blobs, {}
    )


def violations(case: Case, **changed: object) -> list[str]:
    assert case.job
    case = replace(case, job=case.job.model_copy(update=changed))
    evidence = Evidence("local", [case], FaultLog(), StallDetector(), [])
    return [*differing_images(evidence), *missing_iterations(evidence)]


def test_the_iterations_of_an_undisturbed_run_violate_nothing(case: Case) -> None:
    assert case.job
    assert case.job.iterations.steps == [6, 12, 18]
    assert violations(case) == []
    assert violations(case, stopped_at_step=7) == [], "an earlier claim may have come further"


def test_a_step_that_is_not_saved_is_reported(case: Case) -> None:
    assert case.job
    fewer = case.job.iterations.model_copy(update={"root": {6: case.job.iterations.root[6]}})
    assert [message.rpartition(" ")[2] for message in violations(case, iterations=fewer)] == ["12", "18"]


def test_another_or_a_missing_image_of_a_step_is_reported(case: Case) -> None:
    assert case.job
    case.blobs.put(case.job.iterations.with_image(12, b"other").key("j", 12), b"other")
    for png in (b"other", b"never stored"):
        (message,) = violations(case, iterations=case.job.iterations.with_image(12, png))
        assert "another image of step 12" in message


DELIVERED = Delivery("north", "job.canceled", "j", signed=True, acknowledged=True)


@pytest.mark.parametrize(
    ("changed", "missing", "wrong"),
    [
        ({}, 0, 0),
        ({"acknowledged": False}, 1, 0),
        ({"job_id": "of-a-job-without-a-202"}, 1, 0),
        ({"event": "job.started"}, 1, 0),
        ({"event": "job.succeeded"}, 1, 1),
        ({"signed": False}, 0, 1),
        ({"tenant": "south"}, 0, 1),
    ],
)
def test_a_missing_and_a_wrong_webhook_are_reported(
    case: Case, changed: dict[str, Any], missing: int, wrong: int
) -> None:
    deliveries = [replace(DELIVERED, **changed)]
    evidence = Evidence("local", [case], FaultLog(), StallDetector(), [], deliveries=deliveries)
    assert len(list(undelivered(evidence))) == missing
    assert len(list(wrong_deliveries(evidence))) == wrong
