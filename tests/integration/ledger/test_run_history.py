"""The run history: bounded, in Redis, written by the worker that ends a job."""

import time

import pytest
from chaos.timeouts import STEP_SECONDS
from support.fixtures.worker import WorkerRig

from easel.models import JobState
from shared.jobs.run_history import MAX_RECORDS, RunHistory, RunRecord
from shared.ledger.ledger import connect

RECORD = RunRecord(
    device="cpu",
    algorithm="adam",
    pixels=1,
    pixels_per_second=1,
    start_seconds=0,
    end_seconds=0,
    fraction=1,
    drift=None,
)


@pytest.fixture
def run_history(valkey_url: str) -> RunHistory:
    return RunHistory(connect(valkey_url))


def test_only_the_most_recent_records_are_kept_newest_first(run_history: RunHistory) -> None:
    for number in range(MAX_RECORDS + 7):
        run_history.add(RECORD.model_copy(update={"start_seconds": float(number)}))
    assert [record.start_seconds for record in run_history.recent()] == [
        float(n) for n in range(MAX_RECORDS + 6, 6, -1)
    ]


def test_an_unreadable_record_is_skipped(run_history: RunHistory, valkey_url: str) -> None:
    run_history.add(RECORD)
    connect(valkey_url).lpush("easel:run_history", '{"pixels": 1}')
    assert run_history.recent() == (RECORD,)


def test_a_worker_records_the_timing_of_each_job(sleep_engine_rig: WorkerRig) -> None:
    sleep_engine_rig.start_worker()
    job = sleep_engine_rig.done(sleep_engine_rig.submit(steps=20))
    early = sleep_engine_rig.submit(steps=3000)
    sleep_engine_rig.wait(early, lambda job: job.progress.current > 2)
    sleep_engine_rig.services.ledger.request_control(early, "cancel")
    sleep_engine_rig.done(early, JobState.CANCELED)
    sleep_engine_rig.wait(early, lambda _: len(sleep_engine_rig.services.run_history.recent()) == 2)
    canceled, complete = sleep_engine_rig.services.run_history.recent()
    assert (complete.device, complete.algorithm, complete.fraction) == ("pillow", "lbfgs", 1)
    assert complete.drift is not None
    assert job.started_at is not None
    assert 0 < complete.start_seconds + complete.end_seconds < time.time() - job.started_at
    assert 0 < canceled.fraction < 0.5
    assert canceled.drift is None
    assert job.fraction_per_second is not None
    assert 0.1 < job.fraction_per_second <= 1.05 / (20 * STEP_SECONDS), "no step sleeps for less"
