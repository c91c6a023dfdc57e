"""What a fault is, and the list of them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from chaos.crowd import Crowd
from chaos.engine import Kind
from chaos.orders import dream
from chaos.processes import Kept
from chaos.world import World
from shared.jobs.job import Job

_PAINTER_SHARE: Final = 0.03  # TensorFlow takes many seconds to come back, and has to paint now and then


@dataclass(frozen=True)
class Stage:
    """Where a fault happens. One per thread: `random` is its own."""

    world: World
    crowd: Crowd
    random: Random
    over: threading.Event  # set when everybody goes home

    def a_worker(self) -> Kept:
        """Any one, but rather one that holds a job."""
        world = self.world
        if world.painter and self.random.random() < _PAINTER_SHARE:
            return world.painter
        busy = [kept for _, kept in world.running() if kept is not world.painter and kept.children()]
        return self.random.choice(busy or world.workers)

    def a_holder(self, fit: Callable[[Job], bool] = bool) -> tuple[Job, Kept] | None:
        """A job that fits and the worker that sleeps over it; one is sent where nobody works; None where none comes."""
        if not self.world.running():
            self.crowd.send(dream(self.random, Kind.ORDINARY, steps=_LONG_STEPS))
        return self.world.holder(self.random, fit=fit)


_LONG_STEPS: Final = 200
Act = Callable[[Stage], bool]


@dataclass(frozen=True)
class Fault:
    """`domain` is what it takes for itself: no two faults of one domain happen at once."""

    name: str
    act: Act
    domain: str | None = None
    stores: frozenset[str] = frozenset({"local", "s3"})


FAULTS: Final[dict[str, Fault]] = {}


def fault(*, domain: str | None = None, stores: tuple[str, ...] = ("local", "s3")) -> Callable[[Act], Act]:
    """Register a function as the fault of its name."""

    def register(act: Act) -> Act:
        name = act.__name__
        FAULTS[name] = Fault(name, act, domain, frozenset(stores))
        return act

    return register
