"""The Fault class, the registry of all faults, and the context that they get."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from chaos.clients.clients import Clients
from chaos.clients.requests import sleeping_request
from chaos.stack.engine import JobKind
from chaos.stack.processes import RestartingProcess
from chaos.stack.stack import ChaosStack
from chaos.timeouts import ATTEMPTS_LIMIT
from shared.jobs.job import Job

_TENSORFLOW_SHARE: Final = 0.03  # TensorFlow takes many seconds to restart, and has to finish some jobs
_LONG_STEPS: Final = 200
_SPARED_LEASES_LOST: Final = ATTEMPTS_LIMIT - 4
"""Near the end of a run all kills meet the last jobs, which would fail. Other faults take leases, too."""


@dataclass(frozen=True)
class FaultContext:
    """What a fault acts on. Each thread has its own context and random numbers."""

    stack: ChaosStack
    clients: Clients
    random: Random
    stopping: threading.Event  # set at the end of the run

    def pick_worker(self) -> RestartingProcess:
        """Return a random worker, if possible one that runs a job that has not lost many leases in a row."""
        stack = self.stack
        if stack.tensorflow_worker and self.random.random() < _TENSORFLOW_SHARE:
            return stack.tensorflow_worker
        running = [(job, worker) for job, worker in stack.running() if worker is not stack.tensorflow_worker]
        spared = [worker for job, worker in running if job.leases_lost >= _SPARED_LEASES_LOST]
        busy = [worker for _, worker in running if worker.children() and worker not in spared]
        idle = [worker for worker in stack.workers if worker not in spared]
        return self.random.choice(busy or idle or stack.workers)

    def pick_running_job(self, condition: Callable[[Job], bool] = bool) -> tuple[Job, RestartingProcess] | None:
        """Return a job that meets `condition` and its worker, None if there is none in time.

        Submits a job if none runs.
        """
        if not self.stack.running():
            self.clients.send(sleeping_request(self.random, JobKind.ORDINARY, steps=_LONG_STEPS))
        return self.stack.wait_for_running_job(self.random, condition=condition)


Inject = Callable[[FaultContext], bool]
"""Injects a fault and ends it again; returns False if it was not possible."""


@dataclass(frozen=True)
class Fault:
    """Two faults of the same `domain` never happen at the same time."""

    name: str
    inject: Inject
    domain: str | None = None
    stores: frozenset[str] = frozenset({"local", "s3"})


FAULTS: Final[dict[str, Fault]] = {}


def fault(*, domain: str | None = None, stores: tuple[str, ...] = ("local", "s3")) -> Callable[[Inject], Inject]:
    """Register a function as a fault; the fault gets the function's name."""

    def register(inject: Inject) -> Inject:
        name = inject.__name__
        FAULTS[name] = Fault(name, inject, domain, frozenset(stores))
        return inject

    return register
