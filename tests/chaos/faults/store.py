"""Faults of the blob store: refused writes, slow or failing requests, a full disk, a truncated checkpoint."""

import os
import resource
import signal
import time
from contextlib import suppress
from typing import Final, Literal

from chaos.fault_log import STORE
from chaos.faults.registry import FaultContext, fault
from chaos.stack.processes import tree
from chaos.stack.stack import ChaosStack
from chaos.stack.stores import S3Store
from shared.storage import keys

_SECONDS: Final = 4.0
_IN_FLIGHT_SECONDS: Final = 0.3


@fault(domain="store")
def blobs_refuse(context: FaultContext) -> bool:
    """Refuse every write, and with S3 every connection."""
    with context.stack.fault_log.disturb(STORE, "blobs_refuse"):
        context.stack.store.refuse(refusing=True)
        time.sleep(_SECONDS)
        context.stack.store.refuse(refusing=False)
    return True


@fault(domain="store", stores=("s3",))
def blobs_slow(context: FaultContext) -> bool:
    """Delay each request by a second."""
    return _switch_proxy(context, "slow")


@fault(domain="store", stores=("s3",))
def blobs_refuse_third(context: FaultContext) -> bool:
    """Refuse every third request."""
    return _switch_proxy(context, "refuse_third")


@fault(domain="store", stores=("local",))
def disk_full(context: FaultContext) -> bool:
    """Limit the size of files in all processes that write blobs.

    This replaces ENOSPC, which would need a separate file system: a write fails or is cut short.
    """
    limit = context.random.choice((0, 600, 5000))
    with context.stack.fault_log.disturb(STORE, "disk_full"):
        limited = _limit_files(context.stack, limit)
        time.sleep(_SECONDS)
        while _limit_files(context.stack, resource.RLIM_INFINITY):  # processes forked meanwhile inherited the limit
            time.sleep(0.1)
    return limited > 0


@fault()
def checkpoint_corrupt(context: FaultContext) -> bool:
    """Kill a job's worker, and truncate its newest checkpoint before another worker resumes from it.

    The process is stopped first: a killed one's job is claimed again so soon that the checkpoint may be read already.
    """
    picked = context.pick_running_job(lambda job: job.checkpoint is not None and job.previous_checkpoint is not None)
    if picked is None or not (children := picked[1].children()):
        return False
    (job, worker), stack = picked, context.stack
    _send(children, signal.SIGSTOP)
    try:
        time.sleep(_IN_FLIGHT_SECONDS)  # its last request may still be in flight
        now, blobs = stack.services.ledger.get(job.id), stack.store.blobs
        # A handoff note names a newer checkpoint, so this one would not be read.
        if now.claim != job.claim or now.checkpoint is None or blobs.exists(keys.handoff_note(job.id, job.claim or "")):
            return False
        blobs.put(now.checkpoint, blobs.get(now.checkpoint)[:-100])
        stack.fault_log.corrupted.append((time.time(), job.id))
        for _ in children:
            stack.fault_log.record_kill(worker.name, "checkpoint_corrupt")
        _send(children, signal.SIGKILL)
        return True
    finally:
        _send(children, signal.SIGCONT)


def _send(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _switch_proxy(context: FaultContext, mode: Literal["slow", "refuse_third"]) -> bool:
    store = context.stack.store
    if not isinstance(store, S3Store):
        return False
    with context.stack.fault_log.disturb(STORE, f"blobs_{mode}"):
        store.proxy.set(mode)
        time.sleep(_SECONDS)
        store.proxy.set("open")
    return True


def _limit_files(stack: ChaosStack, limit: int) -> int:
    """Set the limit; return how many processes had another one before."""
    writers = (stack.api, *stack.reapers, *stack.all_workers)
    changed = 0
    for pid in (pid for process in writers if process.pid for pid in tree(process.pid)):
        with suppress(ProcessLookupError, PermissionError):
            before, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            if before != limit:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard))
                changed += 1
    return changed
