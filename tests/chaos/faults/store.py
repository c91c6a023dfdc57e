"""The blob store refuses, crawls, fails now and then, is full, or hands back half of what it was given."""

import os
import resource
import signal
import time
from contextlib import suppress
from typing import Final, Literal

from chaos.faults.registry import Stage, fault
from chaos.notes import STORE
from chaos.processes import tree
from chaos.stores import Bucket
from chaos.world import World

_SECONDS: Final = 4.0
_ON_THE_WAY_SECONDS: Final = 0.3


@fault(domain="store")
def blobs_refuse(stage: Stage) -> bool:
    """Every write, and with S3 every connection."""
    with stage.world.notes.suffers(STORE, "blobs_refuse"):
        stage.world.store.refuse(refusing=True)
        time.sleep(_SECONDS)
        stage.world.store.refuse(refusing=False)
    return True


@fault(domain="store", stores=("s3",))
def blobs_slow(stage: Stage) -> bool:
    """Each request takes a second longer."""
    return _wire(stage, "slow")


@fault(domain="store", stores=("s3",))
def blobs_third(stage: Stage) -> bool:
    """Every third request is refused."""
    return _wire(stage, "third")


@fault(domain="store", stores=("local",))
def disk_full(stage: Stage) -> bool:
    """No file may grow beyond so many bytes, in none of the processes that write blobs.

    That stands in for ENOSPC, which only a file system of our own could give: the write fails, or is cut short.
    """
    limit = stage.random.choice((0, 600, 5000))
    with stage.world.notes.suffers(STORE, "disk_full"):
        limited = _limit_files(stage.world, limit)
        time.sleep(_SECONDS)
        while _limit_files(stage.world, resource.RLIM_INFINITY):  # whoever was forked meanwhile has it, too
            time.sleep(0.1)
    return limited > 0


@fault()
def checkpoint_corrupt(stage: Stage) -> bool:
    """The holder dies, and its newest checkpoint is cut short before another goes on from it."""
    found = stage.a_holder(lambda job: job.checkpoint is not None and job.previous_checkpoint is not None)
    if found is None:
        return False
    (job, worker), world = found, stage.world
    for child in worker.children():
        with suppress(ProcessLookupError):
            world.notes.killed(worker.name, "checkpoint_corrupt")
            os.kill(child, signal.SIGKILL)
    time.sleep(_ON_THE_WAY_SECONDS)  # a last word may still be on the wire
    now = world.services.ledger.get(job.id)
    if now.claim != job.claim or now.checkpoint is None:
        return False
    blobs = world.store.blobs
    blobs.put(now.checkpoint, blobs.get(now.checkpoint)[:-100])
    world.notes.corrupted.append((time.time(), job.id))
    return True


def _wire(stage: Stage, mode: Literal["slow", "third"]) -> bool:
    store = stage.world.store
    if not isinstance(store, Bucket):
        return False
    with stage.world.notes.suffers(STORE, f"blobs_{mode}"):
        store.wire.set(mode)
        time.sleep(_SECONDS)
        store.wire.set("open")
    return True


def _limit_files(world: World, limit: int) -> int:
    """How many processes had another limit before."""
    writers = (world.api, *world.reapers, *world.all_workers)
    changed = 0
    for pid in (pid for kept in writers if kept.pid for pid in tree(kept.pid)):
        with suppress(ProcessLookupError, PermissionError):
            before, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            if before != limit:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard))
                changed += 1
    return changed
