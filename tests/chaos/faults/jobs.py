"""Faults by jobs: jobs that harm their workers, an API that crashes during a submission, and a full queue."""

import itertools
import time
from contextlib import ExitStack
from typing import Final

from chaos.clients.requests import batch_requests, sleeping_request
from chaos.fault_log import REDIS
from chaos.faults.registry import FaultContext, fault
from chaos.stack.api import CRASH_POINTS
from chaos.stack.engine import JobKind

_API: Final = "api"
_BATCH_CRASH_POINTS: Final = 16  # at least, depending on which images are stored already
_BATCH_CRASHES: Final = 3
_BRIEF_STEPS: Final = 10
_FULL: Final = "queue_full"
_FILL_SECONDS: Final = 60.0
_BACK_SECONDS: Final = 60.0


@fault()
def poison(context: FaultContext) -> bool:
    """Submit a job that kills its worker at every attempt."""
    return context.clients.send(sleeping_request(context.random, JobKind.POISON)) is not None


@fault()
def hang(context: FaultContext) -> bool:
    """Submit a job that hangs at the first attempt."""
    return context.clients.send(sleeping_request(context.random, JobKind.HANGS_ONCE)) is not None


@fault()
def out_of_memory(context: FaultContext) -> bool:
    """Submit a job that runs out of memory once, and one that always does."""
    sent = [
        context.clients.send(sleeping_request(context.random, kind))
        for kind in (JobKind.OUT_OF_MEMORY_ONCE, JobKind.OUT_OF_MEMORY)
    ]
    return None not in sent


@fault(domain="api")
def api_killed(context: FaultContext) -> bool:
    """Crash the API at each point of a submission: before and after each call to another service."""
    for crash_point in range(CRASH_POINTS):
        if context.stopping.is_set():
            return False
        request = sleeping_request(context.random, JobKind.ORDINARY, steps=_BRIEF_STEPS)
        crashes = context.stack.api_crashes()
        context.clients.send(request, crash_at=crash_point)
        if context.stack.api_crashes() > crashes:
            context.stack.fault_log.record_api_crash(crash_point)
    return True


@fault(domain="api")
def api_killed_in_batch(context: FaultContext) -> bool:
    """Crash the API at some points of the submission of a batch."""
    stack, before = context.stack, context.stack.api_crashes()
    requests = (sleeping_request(context.random, JobKind.ORDINARY, steps=_BRIEF_STEPS) for _ in itertools.count())
    for crash_point in context.random.sample(range(_BATCH_CRASH_POINTS), _BATCH_CRASHES):
        crashes = stack.api_crashes()
        if context.stopping.is_set() or not context.clients.send_batch(batch_requests(requests), crash_at=crash_point):
            return False
        if stack.api_crashes() > crashes:
            stack.fault_log.record_kill(_API, "api_killed_in_batch")
    return stack.api_crashes() > before


@fault(domain="all")
def queue_full_restart(context: FaultContext) -> bool:
    """Fill the queue up to its limit without workers, then kill and restart everything but the store."""
    stack, fault_log = context.stack, context.stack.fault_log
    with ExitStack() as cleanup:
        for process in stack.processes:
            cleanup.enter_context(process.without_restarts())
        for worker in stack.all_workers:
            cleanup.enter_context(fault_log.disturb(worker.name, "queue_full_restart"))
            stack.kill(worker, "queue_full_restart", group=True)
        full = _fill(context)
        cleanup.enter_context(fault_log.disturb(REDIS, "queue_full_restart"))
        for process in (stack.api, *stack.reapers, stack.valkey):
            stack.kill(process, "queue_full_restart", group=True)
    return full and stack.wait_for(stack.ready, _BACK_SECONDS)


def _fill(context: FaultContext) -> bool:
    """Submit jobs until one is refused; return whether that happened in time."""
    deadline = time.monotonic() + _FILL_SECONDS
    while time.monotonic() < deadline and not context.stopping.is_set():
        if context.clients.try_once(sleeping_request(context.random, JobKind.ORDINARY, steps=_BRIEF_STEPS)) == _FULL:
            return True
    return False
