"""Faults of workers: SIGKILL, SIGTERM and SIGSTOP."""

import os
import signal
import time
from contextlib import suppress
from typing import Final

from chaos.fault_log import NEXT_PUBLISHER, REDIS
from chaos.faults.registry import FaultContext, fault
from chaos.stack.processes import RestartingProcess
from chaos.stack.worker import CRASH_BEFORE_PUBLICATION
from chaos.timeouts import LEASE_SECONDS

_EXIT_SECONDS: Final = 60.0  # then the worker is killed; the guarantee is checked by the audit
_NOTICE_SECONDS: Final = 1.0


@fault()
def kill_child(context: FaultContext) -> bool:
    """Kill Celery's child process, which runs the job."""
    worker = context.pick_worker()
    for child in worker.children():
        with suppress(ProcessLookupError):
            context.stack.fault_log.record_kill(worker.name, "kill_child")
            os.kill(child, signal.SIGKILL)
            return True
    return False


@fault()
def kill_parent(context: FaultContext) -> bool:
    """Kill Celery's parent process; its child stays as an orphan."""
    return context.stack.kill(context.pick_worker(), "kill_parent")


@fault()
def kill_group(context: FaultContext) -> bool:
    """Kill parent and child."""
    return context.stack.kill(context.pick_worker(), "kill_group", group=True)


@fault()
def kill_before_publication(context: FaultContext) -> bool:
    """Crash the next worker that has written a result, before the transition that publishes it."""
    marker = context.stack.folder / CRASH_BEFORE_PUBLICATION
    marker.write_text("")
    context.pick_running_job()
    taken = context.stack.wait_for(lambda: not marker.exists() or context.stopping.is_set(), 20)
    if not taken or context.stopping.is_set():
        marker.unlink(missing_ok=True)
        return False
    context.stack.fault_log.record_kill(NEXT_PUBLISHER, "kill_before_publication")
    return True


@fault()
def drain(context: FaultContext) -> bool:
    """Send SIGTERM to a worker."""
    return _drain(context, context.pick_worker())


@fault(domain="redis")
def drain_redis_down(context: FaultContext) -> bool:
    """Send SIGTERM while Redis is unavailable to all workers."""
    stack, picked = context.stack, context.pick_running_job()
    with stack.fault_log.disturb(REDIS, "drain_redis_down"):
        stack.worker_proxy.set("down")
        try:
            time.sleep(_NOTICE_SECONDS)
            return picked is not None and _drain(context, picked[1])
        finally:
            stack.worker_proxy.set("open")


@fault()
def sigstop_past_lease(context: FaultContext) -> bool:
    """Stop a worker until another one has its job, then continue it: it still tries to write."""
    picked = context.pick_running_job()
    if picked is None or (pid := picked[1].pid) is None:
        return False
    job, worker = picked
    with context.stack.fault_log.disturb(worker.name, "sigstop_past_lease"):
        worker.send(signal.SIGSTOP, group=True)
        ledger = context.stack.services.ledger
        taken = context.stack.wait_for(
            lambda: ledger.get(job.id).claim != job.claim or context.stopping.is_set(), 3 * LEASE_SECONDS
        )
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGCONT)
        time.sleep(_NOTICE_SECONDS)  # it tries to write now
    return taken


def _drain(context: FaultContext, worker: RestartingProcess) -> bool:
    pid = worker.pid
    if pid is None:
        return False
    fault_log = context.stack.fault_log
    with fault_log.disturb(worker.name, "drain"):
        began = time.monotonic()
        worker.send(signal.SIGTERM)
        if not worker.wait_for_exit(pid, _EXIT_SECONDS):
            worker.send(signal.SIGKILL, group=True)
    fault_log.drains.append(time.monotonic() - began)
    return True
