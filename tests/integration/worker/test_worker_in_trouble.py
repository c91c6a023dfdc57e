"""Jobs that harm their workers, and a worker that has gone deaf: the product's processes, an engine that sleeps."""

from chaos.engine import Kind
from support.fixtures.worker import Rig

from easel.models import JobState
from shared.dispatch import celery_app, queue_name
from worker.maintenance.reaper import Reaper

STEPS = {"steps": 40}


def warnings(rig: Rig, job_id: str) -> list[str]:
    return [event.data["code"] for event in rig.services.events.since(job_id) if event.kind == "warning"]


def test_a_job_that_runs_out_of_memory_is_tried_once_more_on_a_fresh_process(sleepy_rig: Rig) -> None:
    rig = sleepy_rig
    rig.start_worker()
    rig.done(rig.submit(**STEPS))
    job = rig.done(rig.submit(seed=Kind.FILLS_ONCE.seed(1), **STEPS))
    assert (job.memory_failures, job.attempts) == (1, 0), "it was given back, not lost"
    assert warnings(rig, job.id) == ["out_of_memory"]
    rig.done(rig.submit(**STEPS))


def test_a_job_that_never_fits_into_memory_fails_with_the_size_that_would(sleepy_rig: Rig) -> None:
    rig = sleepy_rig
    rig.start_worker()
    job = rig.done(rig.submit(seed=Kind.FILLS.seed(1), size=1024, **STEPS), JobState.FAILED)
    assert job.error is not None
    assert job.error.code == "out_of_memory"
    assert "size" in job.error.detail
    assert job.result is not None, "the picture so far is kept"
    rig.done(rig.submit(**STEPS))


def test_a_job_that_kills_its_worker_every_time_fails_and_takes_no_other_with_it(sleepy_rig: Rig) -> None:
    rig = sleepy_rig
    rig.start_worker(checkpoint_seconds=3600)
    poison, other = rig.submit(seed=Kind.POISON.seed(1), **STEPS), rig.submit(**STEPS)
    job = rig.done(poison, JobState.FAILED)
    assert job.error is not None
    assert (job.error.code, job.attempts) == ("attempts_exhausted", rig.settings.attempts_limit)
    rig.done(other)


def test_a_hung_device_loses_its_lease_and_its_process_is_replaced(sleepy_rig: Rig) -> None:
    rig = sleepy_rig
    rig.start_worker(hang_seconds=4)
    job = rig.done(rig.submit(seed=Kind.HANGS.seed(1), **STEPS))
    assert job.epoch >= 2
    assert "device_hung" in rig.logs()


def test_a_worker_that_does_not_hear_its_bells_any_more_ends(sleepy_rig: Rig) -> None:
    rig = sleepy_rig
    worker = rig.start_worker(deaf_seconds=8)
    rig.done(rig.submit(**STEPS))
    celery = celery_app(rig.settings)
    for tier in rig.settings.tiers:  # as after a connection that came back without its consumer
        assert celery.control.cancel_consumer(queue_name(tier), destination=["one@test"], reply=True, timeout=10)
    unheard = rig.submit(**STEPS)
    assert worker.wait(60) == 0
    rig.start_worker("two")
    Reaper(rig.services)._top_up_bells()
    rig.done(unheard)
