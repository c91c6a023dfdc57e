"""Faults of Redis: crash, unavailable, full, silent, data loss; and wake-ups that are lost or repeated."""

import signal
import subprocess
import sys
import time
from typing import Final

import redis

from chaos.fault_log import REDIS
from chaos.faults.registry import FaultContext, fault
from chaos.stack.stack import ChaosStack
from chaos.timeouts import LEASE_SECONDS

_HEAL_SECONDS: Final = 90.0
_FULL_SECONDS: Final = (2.0, 1.6 * LEASE_SECONDS)


@fault(domain="redis")
def redis_kill(context: FaultContext) -> bool:
    """Kill Redis; it restarts with the content of its append-only file."""
    stack = context.stack
    with stack.fault_log.disturb(REDIS, "redis_kill"):
        return stack.kill(stack.valkey, "redis_kill") and stack.wait_for(
            lambda: bool(stack.redis.ping()), _HEAL_SECONDS
        )


@fault(domain="redis")
def redis_down(context: FaultContext) -> bool:
    """Make Redis unavailable for longer than a lease, which must not take any job from its worker."""
    stack = context.stack
    with stack.fault_log.disturb(REDIS, "redis_down"):
        _switch_both_proxies(stack, "down", LEASE_SECONDS * context.random.uniform(1.4, 2.2))
    return True


@fault(domain="redis")
def redis_full(context: FaultContext) -> bool:
    """Let Redis reach maxmemory, with the policy noeviction."""
    stack = context.stack
    with stack.fault_log.disturb(REDIS, "redis_full"):
        stack.redis.config_set("maxmemory", 1)
        time.sleep(context.random.uniform(*_FULL_SECONDS))
        stack.redis.config_set("maxmemory", 0)
    return True


@fault(domain="redis")
def half_open_workers(context: FaultContext) -> bool:
    """Silence only the workers' connections, so that the reapers see all leases expire."""
    stack = context.stack
    with stack.fault_log.disturb(REDIS, "half_open_workers"):
        stack.worker_proxy.set("silent")
        time.sleep(LEASE_SECONDS * 1.4)
        stack.worker_proxy.set("open")
    return True


@fault(domain="redis")
def half_open_all(context: FaultContext) -> bool:
    """Silence all connections to Redis for longer than a lease."""
    stack = context.stack
    with stack.fault_log.disturb(REDIS, "half_open_all"):
        _switch_both_proxies(stack, "silent", LEASE_SECONDS * 1.4)
    return True


@fault(domain="redis")
def flushall(context: FaultContext) -> bool:
    """Delete all data in Redis; a reaper restores it."""
    stack = context.stack
    with stack.fault_log.disturb(REDIS, "flushall"):
        stack.redis.flushall()
        return stack.wait_for(lambda: stack.services.ledger.identity() is not None, _HEAL_SECONDS)


@fault(domain="redis")
def flushall_rebuild(context: FaultContext) -> bool:
    """Delete all data while the reapers are stopped; `easel-worker rebuild` restores it."""
    stack = context.stack
    with stack.fault_log.disturb(REDIS, "flushall_rebuild"):
        for reaper in stack.reapers:
            reaper.send(signal.SIGSTOP)
        try:
            stack.redis.flushall()
            command = [sys.executable, "-m", "worker", "rebuild"]
            restored = subprocess.run(command, env=stack.environment, capture_output=True, timeout=60, check=False)
            return restored.returncode == 0
        finally:
            for reaper in stack.reapers:
                reaper.send(signal.SIGCONT)


@fault()
def wakeups_lost(context: FaultContext) -> bool:
    """Delete every message in Celery's queues."""
    try:
        context.stack.redis.delete(*(f"easel.{tier}" for tier in context.stack.services.settings.tiers))
    except redis.RedisError:
        return False
    return True


@fault()
def wakeups_repeated(context: FaultContext) -> bool:
    """Send fifty wake-ups for the same tier."""
    sent = [context.stack.services.dispatcher.wake("standard") for _ in range(50)]
    return all(sent)


def _switch_both_proxies(stack: ChaosStack, mode: "str", seconds: float) -> None:
    proxies = (stack.worker_proxy, stack.other_proxy)
    for proxy in proxies:
        proxy.set("down" if mode == "down" else "silent")
    time.sleep(seconds)
    for proxy in proxies:
        proxy.set("open")
