"""The memory that a real worker registers, and the jobs that it gets."""

import re
from collections.abc import Mapping
from typing import Any

import uuid_utils
from chaos.stack.engine import JOBS_PER_PROCESS
from support.fixtures.worker import WorkerRig, children

from easel.models import JobState
from shared.recovery import job_files

MEMORY = 10**9


def test_a_worker_registers_its_memory_and_gets_no_job_that_needs_more(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    first = rig.submit()

    def submit_copy(**changes: Any) -> str:
        request = rig.services.ledger.get(first).request.model_copy(update={"id": str(uuid_utils.uuid7()), **changes})
        return rig.services.ledger.submit(request, queue_limit=1000, remember_seconds=60)[0]

    too_large, last = submit_copy(peak_memory_bytes=MEMORY + 1), submit_copy(peak_memory_bytes=MEMORY)
    rig.start_worker(memory_bytes=MEMORY)
    rig.done(first)
    rig.done(last)
    waiting = rig.wait(
        too_large, lambda _: [worker.memory_bytes for worker in rig.services.queue_stats.workers()] == [MEMORY]
    )
    assert (waiting.state, rig.services.queue_stats.position(waiting)) == (JobState.QUEUED, 1)


def test_a_worker_on_a_gpu_registers_its_memory_and_gets_the_jobs_that_fit_there(
    sleep_engine_rig: WorkerRig, three_gpus: Mapping[str, str]
) -> None:
    rig, on_gpu = sleep_engine_rig, 80 * 2**30
    rig.command = ("support.gpu_worker",)
    rig.environment = {**three_gpus, **rig.environment}
    first = rig.submit(steps=2)

    def submit_copy(**changes: Any) -> str:
        request = rig.services.ledger.get(first).request.model_copy(update={"id": str(uuid_utils.uuid7()), **changes})
        job_files.write_request(rig.services.blobs, request)
        return rig.services.ledger.submit(request, queue_limit=1000, remember_seconds=60)[0]

    too_large = submit_copy(peak_memory_bytes=1, peak_gpu_memory_bytes=on_gpu + 1)
    last = submit_copy(peak_memory_bytes=2**60, peak_gpu_memory_bytes=on_gpu)
    rig.start_worker()
    rig.done(first)
    rig.done(last)
    (worker,) = rig.services.queue_stats.workers()
    assert (worker.memory_kind, worker.memory_bytes) == ("gpu", on_gpu)
    assert rig.services.queue_stats.position(rig.services.ledger.get(too_large)) == 1


def test_a_process_that_needs_a_restart_is_replaced_without_logging_an_error(sleep_engine_rig: WorkerRig) -> None:
    worker = sleep_engine_rig.start_worker()
    jobs = [sleep_engine_rig.submit(steps=5) for _ in range(JOBS_PER_PROCESS + 1)]
    children_by_job = []
    for job in jobs:
        sleep_engine_rig.done(job)
        children_by_job.append(children(worker.pid))
    assert len(children_by_job[0]) == len(children_by_job[-1]) == 1
    assert children_by_job[0] != children_by_job[-1]
    assert "child_replaced" in sleep_engine_rig.logs()
    assert not re.search(r"ERROR|\[error|Traceback", sleep_engine_rig.logs())
