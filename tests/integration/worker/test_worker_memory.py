"""A real worker and the memory that it states."""

import re
from collections.abc import Mapping
from typing import Any

import uuid_utils
from chaos.engine import JOBS_OF_A_LIFE
from support.fixtures.worker import Rig, children

from easel.models import JobState
from shared.recovery import job_files

STATED = 10**9


def test_a_worker_states_its_memory_and_leaves_what_is_too_large_for_it(rig: Rig) -> None:
    first = rig.submit()

    def another(**differing: Any) -> str:
        asked = rig.services.ledger.get(first).request.model_copy(update={"id": str(uuid_utils.uuid7()), **differing})
        return rig.services.ledger.submit(asked, queue_limit=1000, remember_seconds=60)[0]

    misfit, last = another(peak_memory_bytes=STATED + 1), another(peak_memory_bytes=STATED)
    rig.start_worker(memory_bytes=STATED)
    rig.done(first)
    rig.done(last)
    waiting = rig.wait(misfit, lambda _: [told.memory_bytes for told in rig.services.queue_stats.workers()] == [STATED])
    assert (waiting.state, rig.services.queue_stats.position(waiting)) == (JobState.QUEUED, 1)


def test_a_worker_on_a_gpu_states_the_gpus_memory_and_takes_what_fits_there(
    sleepy_rig: Rig, three_gpus: Mapping[str, str]
) -> None:
    rig, on_gpu = sleepy_rig, 80 * 2**30
    rig.command = ("support.gpu_worker",)
    rig.environment = {**three_gpus, **rig.environment}
    first = rig.submit(steps=2)

    def another(**differing: Any) -> str:
        asked = rig.services.ledger.get(first).request.model_copy(update={"id": str(uuid_utils.uuid7()), **differing})
        job_files.write_request(rig.services.blobs, asked)
        return rig.services.ledger.submit(asked, queue_limit=1000, remember_seconds=60)[0]

    misfit = another(peak_memory_bytes=1, peak_gpu_memory_bytes=on_gpu + 1)
    last = another(peak_memory_bytes=2**60, peak_gpu_memory_bytes=on_gpu)
    rig.start_worker()
    rig.done(first)
    rig.done(last)
    (told,) = rig.services.queue_stats.workers()
    assert (told.memory_kind, told.memory_bytes) == ("gpu", on_gpu)
    assert rig.services.queue_stats.position(rig.services.ledger.get(misfit)) == 1


def test_a_worn_process_makes_way_for_a_fresh_one_without_a_word_of_error(sleepy_rig: Rig) -> None:
    worker = sleepy_rig.start_worker()
    jobs = [sleepy_rig.submit(steps=5) for _ in range(JOBS_OF_A_LIFE + 1)]
    painted_by = []
    for job in jobs:
        sleepy_rig.done(job)
        painted_by.append(children(worker.pid))
    assert len(painted_by[0]) == len(painted_by[-1]) == 1
    assert painted_by[0] != painted_by[-1]
    assert "replaced" in sleepy_rig.logs()
    assert not re.search(r"ERROR|\[error|Traceback", sleepy_rig.logs())
