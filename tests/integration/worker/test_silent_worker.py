"""A job whose worker stops renewing its lease says so, in the API, its stream and the client, before it expires."""

from collections.abc import Callable, Iterator

import pytest
from support.fixtures.api import Server
from support.fixtures.worker import LONG, WorkerRig, reached

from easel import Easel, Job, JobEvent, WorkerSilentEvent
from easel.models import JobState


@pytest.fixture
def easel(sleep_engine_rig: WorkerRig, start_server: Callable[..., Server]) -> Iterator[Easel]:
    with Easel(start_server(sleep_engine_rig.settings).url) as easel:
        yield easel


@pytest.fixture
def running_job(sleep_engine_rig: WorkerRig, easel: Easel) -> Job:
    rig = sleep_engine_rig
    rig.start_worker()
    job_id = rig.submit(**LONG)
    rig.wait(job_id, reached(2))
    return easel.get(job_id)


def next_silence(events: Iterator[JobEvent]) -> WorkerSilentEvent:
    return next(event for event in events if isinstance(event, WorkerSilentEvent))


def test_a_job_says_that_its_worker_is_suspended_and_that_it_answers_again(
    sleep_engine_rig: WorkerRig, easel: Easel, running_job: Job
) -> None:
    events = iter(running_job.events())
    next(event for event in events if event.kind == "progress")
    with sleep_engine_rig.suspended():
        silence = next_silence(events).data
        record, status = sleep_engine_rig.services.ledger.get(running_job.id), running_job.status
        assert (status.worker_silent_since, status.lease_expires_at) == (silence.since, silence.lease_expires_at)
        assert silence.since is not None
        assert silence.lease_expires_at is not None
        assert (silence.lease_expires_at - silence.since).total_seconds() == pytest.approx(
            record.lease_seconds, abs=0.01
        )
        refreshed = running_job.refresh()
        assert refreshed.state is JobState.RUNNING
        assert refreshed.worker_silent_since is not None
        assert easel.queue().running[0].worker_silent_since is not None
    assert next_silence(events).data.since is None
    assert running_job.status.worker_silent_since is None
    assert running_job.refresh().worker_silent_since is None


def test_a_job_says_that_its_worker_died_and_continues_on_another_one(
    sleep_engine_rig: WorkerRig, running_job: Job
) -> None:
    events = iter(running_job.events())
    next(event for event in events if event.kind == "progress")
    sleep_engine_rig.workers["one"].kill()  # the kernel ends the child with its parent
    assert next_silence(events).data.since is not None
    sleep_engine_rig.start_worker("two")
    sleep_engine_rig.wait(running_job.id, lambda job: job.claims == 2)
    next(event for event in events if event.kind == "lease_lost")
    next(event for event in events if event.kind == "progress")
    assert running_job.status.worker_silent_since is None
    assert running_job.refresh().worker_silent_since is None
