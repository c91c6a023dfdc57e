"""A real worker and the memory that it states."""

from typing import Any

import uuid_utils
from fixtures_worker import Rig

from shared.job import JobState

STATED = 10**9


def test_a_worker_states_its_memory_and_leaves_what_is_too_large_for_it(rig: Rig) -> None:
    first = rig.submit()

    def another(**differing: Any) -> str:
        asked = rig.ports.ledger.get(first).request.model_copy(update={"id": str(uuid_utils.uuid7()), **differing})
        return rig.ports.ledger.submit(asked, queue_limit=1000, remember_seconds=60)[0]

    misfit, last = another(peak_memory_bytes=STATED + 1), another(peak_memory_bytes=STATED)
    rig.start_worker(memory_bytes=STATED)
    rig.done(first)
    rig.done(last)
    waiting = rig.wait(misfit, lambda _: [told.memory_bytes for told in rig.ports.overview.workers()] == [STATED])
    assert (waiting.state, rig.ports.overview.position(waiting)) == (JobState.QUEUED, 1)
