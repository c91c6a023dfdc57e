"""Jobs that harm their workers, and a stalled consumer: real worker processes with the sleeping engine."""

from chaos.stack.engine import JobKind
from support.fixtures.worker import WorkerRig

from easel.models import JobState
from shared.dispatch import create_celery_app, queue_name
from shared.ledger.ledger import connect
from shared.recovery.rebuild import rebuild_ledger
from worker.maintenance.reaper import Reaper

STEPS = {"steps": 40}


def test_a_job_that_runs_out_of_memory_is_retried_once_in_a_fresh_process(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    rig.start_worker()
    rig.done(rig.submit(**STEPS))
    job = rig.done(rig.submit(seed=JobKind.OUT_OF_MEMORY_ONCE.seed(1), **STEPS))
    assert (job.memory_failures, job.leases_lost) == (1, 0), "it was released, not lost"
    assert rig.warnings(job.id) == ["out_of_memory"]
    rig.done(rig.submit(**STEPS))


def test_a_job_that_runs_out_of_memory_twice_fails_and_names_a_size_that_fits(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    rig.start_worker()
    job = rig.done(rig.submit(seed=JobKind.OUT_OF_MEMORY.seed(1), size=1024, **STEPS), JobState.FAILED)
    assert job.error is not None
    assert job.error.code == "out_of_memory"
    assert "size" in job.error.detail
    assert job.result is not None, "the image so far is kept"
    assert rig.services.filmstrip.previews(job.id)[-1].step == job.stopped_at_step == 11, "and is its last preview"
    rig.done(rig.submit(**STEPS))


def test_a_job_that_always_kills_its_worker_fails_without_affecting_others(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    rig.start_worker(checkpoint_seconds=3600)
    poison, other = rig.submit(seed=JobKind.POISON.seed(1), **STEPS), rig.submit(**STEPS)
    job = rig.done(poison, JobState.FAILED)
    assert job.error is not None
    assert (job.error.code, job.leases_lost) == ("attempts_exhausted", rig.settings.attempts_limit)
    rig.done(other)


def test_a_job_that_failed_after_too_many_attempts_stays_failed_if_redis_loses_its_data(
    sleep_engine_rig: WorkerRig,
) -> None:
    rig = sleep_engine_rig
    rig.start_worker(checkpoint_seconds=3600)
    poison = rig.done(rig.submit(seed=JobKind.POISON.seed(1), **STEPS), JobState.FAILED)
    connect(rig.settings.redis_url).flushall()
    rebuild_ledger(rig.services)
    assert rig.services.ledger.get(poison.id).error == poison.error


def test_a_hung_process_loses_its_lease_and_is_replaced(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    rig.start_worker(hang_seconds=4)
    job = rig.done(rig.submit(seed=JobKind.HANGS_ONCE.seed(1), **STEPS))
    assert job.claims >= 2
    assert "device_hung" in rig.logs()


def test_a_worker_whose_consumer_has_stalled_ends(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    worker = rig.start_worker(stalled_consumer_seconds=8)
    rig.done(rig.submit(**STEPS))
    celery = create_celery_app(rig.settings)
    for tier in rig.settings.tiers:  # as after a reconnect without a consumer
        assert celery.control.cancel_consumer(queue_name(tier), destination=["one@test"], reply=True, timeout=10)
    waiting = rig.submit(**STEPS)
    assert worker.wait(60) == 0
    rig.start_worker("two")
    Reaper(rig.services).top_up_wake_ups()
    rig.done(waiting)
