"""Jobs that harm their workers, an API that dies while it takes one in, and a queue that is full."""

import time
from contextlib import ExitStack
from typing import Final

from chaos.api import MOMENTS
from chaos.engine import Kind
from chaos.faults.registry import Stage, fault
from chaos.notes import REDIS
from chaos.orders import dream

_BRIEF_STEPS: Final = 10
_FULL: Final = "queue_full"
_FILL_SECONDS: Final = 60.0
_BACK_SECONDS: Final = 60.0


@fault()
def poison(stage: Stage) -> bool:
    """A job that kills its worker every time."""
    return stage.crowd.send(dream(stage.random, Kind.POISON)) is not None


@fault()
def hang(stage: Stage) -> bool:
    """A job in which the device stands still, once."""
    return stage.crowd.send(dream(stage.random, Kind.HANGS)) is not None


@fault()
def out_of_memory(stage: Stage) -> bool:
    """A job for which memory was short once, and one for which it always is."""
    sent = [stage.crowd.send(dream(stage.random, kind)) for kind in (Kind.FILLS_ONCE, Kind.FILLS)]
    return None not in sent


@fault(domain="api")
def api_killed(stage: Stage) -> bool:
    """At each step of a submission in turn: before and after each thing that it does to the world outside."""
    for moment in range(MOMENTS):
        if stage.over.is_set():
            return False
        order = dream(stage.random, Kind.ORDINARY, steps=_BRIEF_STEPS)
        deaths = stage.world.api_deaths()
        stage.crowd.send(order, die_at=moment)
        if stage.world.api_deaths() > deaths:
            stage.world.notes.api_died(moment)
    return True


@fault(domain="all")
def queue_full_restart(stage: Stage) -> bool:
    """As many jobs wait as may; then everything but the store is killed, and comes back."""
    world, notes = stage.world, stage.world.notes
    with ExitStack() as stack:
        for kept in world.processes:
            stack.enter_context(kept.held())
        for worker in world.all_workers:
            stack.enter_context(notes.suffers(worker.name, "queue_full_restart"))
            world.kill(worker, "queue_full_restart", group=True)
        full = _fill(stage)
        stack.enter_context(notes.suffers(REDIS, "queue_full_restart"))
        for kept in (world.api, *world.reapers, world.valkey):
            world.kill(kept, "queue_full_restart", group=True)
    return full and world.wait_for(world.ready, _BACK_SECONDS)


def _fill(stage: Stage) -> bool:
    """Whether one more was refused."""
    deadline = time.monotonic() + _FILL_SECONDS
    while time.monotonic() < deadline and not stage.over.is_set():
        if stage.crowd.refusal(dream(stage.random, Kind.ORDINARY, steps=_BRIEF_STEPS)) == _FULL:
            return True
    return False
