"""Redis dies, cannot be reached, fills up, goes silent, forgets; and bells are lost or rung too often."""

import signal
import subprocess
import sys
import time
from typing import Final

import redis

from chaos.faults.registry import Stage, fault
from chaos.notes import REDIS
from chaos.scale import LEASE_SECONDS
from chaos.world import World

_HEAL_SECONDS: Final = 30.0
_FULL_SECONDS: Final = (2.0, 1.6 * LEASE_SECONDS)


@fault(domain="redis")
def redis_kill(stage: Stage) -> bool:
    """Kill -9 of Redis, which comes back with what its append-only file holds."""
    world = stage.world
    with world.notes.suffers(REDIS, "redis_kill"):
        return world.kill(world.valkey, "redis_kill") and world.wait_for(
            lambda: bool(world.redis.ping()), _HEAL_SECONDS
        )


@fault(domain="redis")
def redis_down(stage: Stage) -> bool:
    """Nobody reaches Redis for longer than a lease: no running job may be taken from its worker for that."""
    world = stage.world
    with world.notes.suffers(REDIS, "redis_down"):
        _both_wires(world, "down", LEASE_SECONDS * stage.random.uniform(1.4, 2.2))
    return True


@fault(domain="redis")
def redis_full(stage: Stage) -> bool:
    """At maxmemory, with the policy noeviction."""
    world = stage.world
    with world.notes.suffers(REDIS, "redis_full"):
        world.redis.config_set("maxmemory", 1)
        time.sleep(stage.random.uniform(*_FULL_SECONDS))
        world.redis.config_set("maxmemory", 0)
    return True


@fault(domain="redis")
def half_open_workers(stage: Stage) -> bool:
    """The workers' connections stay, and nothing passes; the reapers see all their leases run out."""
    world = stage.world
    with world.notes.suffers(REDIS, "half_open_workers"):
        world.worker_wire.set("silent")
        time.sleep(LEASE_SECONDS * 1.4)
        world.worker_wire.set("open")
    return True


@fault(domain="redis")
def half_open_all(stage: Stage) -> bool:
    """Nothing passes for anybody, for longer than a lease."""
    world = stage.world
    with world.notes.suffers(REDIS, "half_open_all"):
        _both_wires(world, "silent", LEASE_SECONDS * 1.4)
    return True


@fault(domain="redis")
def flushall(stage: Stage) -> bool:
    """Redis forgets everything; a reaper heals it."""
    world = stage.world
    with world.notes.suffers(REDIS, "flushall"):
        world.redis.flushall()
        return world.wait_for(lambda: world.services.ledger.identity() is not None, _HEAL_SECONDS)


@fault(domain="redis")
def flushall_reconcile(stage: Stage) -> bool:
    """The same, and no reaper lives; the operator heals it by hand."""
    world = stage.world
    with world.notes.suffers(REDIS, "flushall_reconcile"):
        for reaper in world.reapers:
            reaper.send(signal.SIGSTOP)
        try:
            world.redis.flushall()
            command = [sys.executable, "-m", "worker", "reconcile"]
            healed = subprocess.run(command, env=world.environment, capture_output=True, timeout=60, check=False)
            return healed.returncode == 0
        finally:
            for reaper in world.reapers:
                reaper.send(signal.SIGCONT)


@fault()
def bells_lost(stage: Stage) -> bool:
    """Every message that waits in Celery's queues."""
    try:
        stage.world.redis.delete(*(f"easel.{tier}" for tier in stage.world.services.settings.tiers))
    except redis.RedisError:
        return False
    return True


@fault()
def bells_fifty(stage: Stage) -> bool:
    """Fifty times the same bell."""
    rung = [stage.world.services.dispatcher.wake("standard") for _ in range(50)]
    return all(rung)


def _both_wires(world: World, mode: "str", seconds: float) -> None:
    wires = (world.worker_wire, world.other_wire)
    for wire in wires:
        wire.set("down" if mode == "down" else "silent")
    time.sleep(seconds)
    for wire in wires:
        wire.set("open")
