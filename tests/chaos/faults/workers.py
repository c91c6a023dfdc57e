"""Workers are killed, told to leave, and stopped in their tracks."""

import os
import signal
import time
from contextlib import suppress
from typing import Final

from chaos.faults.registry import Stage, fault
from chaos.notes import REDIS, WHOEVER_PUBLISHES
from chaos.processes import Kept
from chaos.scale import LEASE_SECONDS
from chaos.worker import DIE_BEFORE_PUBLICATION

_EXIT_SECONDS: Final = 60.0  # after which we stop waiting; what is promised stands in the report
_NOTICED_SECONDS: Final = 1.0


@fault()
def kill_child(stage: Stage) -> bool:
    """Kill -9 of the process that paints."""
    worker = stage.a_worker()
    for child in worker.children():
        with suppress(ProcessLookupError):
            stage.world.notes.killed(worker.name, "kill_child")
            os.kill(child, signal.SIGKILL)
            return True
    return False


@fault()
def kill_parent(stage: Stage) -> bool:
    """Kill -9 of Celery's parent, whose child is left behind."""
    return stage.world.kill(stage.a_worker(), "kill_parent")


@fault()
def kill_group(stage: Stage) -> bool:
    """Kill -9 of both."""
    return stage.world.kill(stage.a_worker(), "kill_group", group=True)


@fault()
def kill_before_publication(stage: Stage) -> bool:
    """The next worker that has written a result dies before the transition that would publish it."""
    marker = stage.world.folder / DIE_BEFORE_PUBLICATION
    marker.write_text("")
    stage.a_holder()
    taken = stage.world.wait_for(lambda: not marker.exists() or stage.over.is_set(), 20)
    if not taken or stage.over.is_set():
        marker.unlink(missing_ok=True)
        return False
    stage.world.notes.killed(WHOEVER_PUBLISHES, "kill_before_publication")
    return True


@fault()
def drain(stage: Stage) -> bool:
    """SIGTERM."""
    return _drained(stage, stage.a_worker())


@fault(domain="redis")
def drain_redis_down(stage: Stage) -> bool:
    """SIGTERM while no worker reaches Redis."""
    world, found = stage.world, stage.a_holder()
    with world.notes.suffers(REDIS, "drain_redis_down"):
        world.worker_wire.set("down")
        try:
            time.sleep(_NOTICED_SECONDS)
            return found is not None and _drained(stage, found[1])
        finally:
            world.worker_wire.set("open")


@fault()
def sigstop_past_lease(stage: Stage) -> bool:
    """SIGSTOP until another holds the job, then SIGCONT: a zombie that does not know that it is one."""
    found = stage.a_holder()
    if found is None or (pid := found[1].pid) is None:
        return False
    job, worker = found
    with stage.world.notes.suffers(worker.name, "sigstop_past_lease"):
        worker.send(signal.SIGSTOP, group=True)
        taken = stage.world.wait_for(
            lambda: stage.world.services.ledger.get(job.id).claim != job.claim or stage.over.is_set(), 3 * LEASE_SECONDS
        )
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGCONT)
        time.sleep(_NOTICED_SECONDS)  # the zombie tries to write
    return taken


def _drained(stage: Stage, worker: Kept) -> bool:
    pid = worker.pid
    if pid is None:
        return False
    notes = stage.world.notes
    with notes.suffers(worker.name, "drain"):
        began = time.monotonic()
        worker.send(signal.SIGTERM)
        left = worker.wait_for_exit(pid, _EXIT_SECONDS)
        if not left:
            worker.send(signal.SIGKILL, group=True)
    notes.drains.append(time.monotonic() - began)
    return True
