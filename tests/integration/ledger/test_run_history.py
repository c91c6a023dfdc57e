"""What ended jobs took is remembered: in Redis, within bounds, by the worker that ended them."""

import time

import pytest
from chaos.scale import STEP_SECONDS
from support.fixtures.worker import Rig

from easel.models import JobState
from shared.jobs.run_history import REMEMBERED, RunHistory, Trial
from shared.ledger.ledger import connect

TRIAL = Trial(device="cpu", optimizer="adam", pixels=1, pixels_per_second=1, start=0, ending=0, fraction=1, drift=None)


@pytest.fixture
def run_history(valkey_url: str) -> RunHistory:
    return RunHistory(connect(valkey_url))


def test_only_the_last_are_remembered_and_the_newest_comes_first(run_history: RunHistory) -> None:
    for number in range(REMEMBERED + 7):
        run_history.remember(TRIAL.model_copy(update={"start": float(number)}))
    assert [trial.start for trial in run_history.recent()] == [float(n) for n in range(REMEMBERED + 6, 6, -1)]


def test_what_another_version_wrote_hides_nothing(run_history: RunHistory, valkey_url: str) -> None:
    run_history.remember(TRIAL)
    connect(valkey_url).lpush("easel:experience", '{"pixels": 1}')
    assert run_history.recent() == (TRIAL,)


def test_a_worker_remembers_how_each_of_its_jobs_went(sleepy_rig: Rig) -> None:
    sleepy_rig.start_worker()
    job = sleepy_rig.done(sleepy_rig.submit(steps=20))
    early = sleepy_rig.submit(steps=3000)
    sleepy_rig.wait(early, lambda job: job.progress.current > 2)
    sleepy_rig.services.ledger.request_control(early, "cancel")
    sleepy_rig.done(early, JobState.CANCELED)
    sleepy_rig.wait(early, lambda _: len(sleepy_rig.services.run_history.recent()) == 2)
    canceled, whole = sleepy_rig.services.run_history.recent()
    assert (whole.device, whole.optimizer, whole.fraction) == ("pillow", "lbfgs", 1)
    assert whole.drift is not None
    assert job.started_at is not None
    assert 0 < whole.start + whole.ending < time.time() - job.started_at
    assert 0 < canceled.fraction < 0.5
    assert canceled.drift is None
    assert job.pace is not None
    assert 0.1 < job.pace <= 1.05 / (20 * STEP_SECONDS), "no step sleeps for less"
