"""One chaos run on one stack: each fault alone, then several at random at the same time, then time to settle."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from chaos.clients.clients import Clients
from chaos.clients.requests import JobRequest, batch_requests, sleeping_requests, tensorflow_requests
from chaos.faults import FAULTS, Fault, FaultContext
from chaos.stack.stack import ChaosStack
from shared.errors import EaselError

_LANES: Final = 3
_ALONE_SHARE: Final = 0.5  # at most this share of the time is used for faults one by one
_PAUSE_SECONDS: Final = 0.3
_KILLS: Final = {"kill_child": 80, "kill_parent": 13, "kill_group": 7}
_BATCH_SHARE: Final = 0.1  # of the submissions
_LAST: Final = "queue_full_restart"  # it stops the whole stack, so nothing else can happen at the same time


@dataclass
class Schedule:
    """The faults and the load of one run."""

    seconds: float
    required_faults: list[str]  # must have been injected by the end
    jobs: int = 0  # to submit; 0: as many as keep the queue busy
    settle_seconds: float = 90.0  # without progress of any job, until unfinished jobs count as lost
    kills_per_second: float = 2.0
    only_required: bool = False  # inject no other faults


class ChaosRun:
    """Injects faults into a stack until its time is over."""

    def __init__(self, stack: ChaosStack, clients: Clients, schedule: Schedule, seed: int) -> None:
        self.stack, self.clients, self.schedule, self._seed = stack, clients, schedule, seed
        self.stopping = threading.Event()
        self.active_faults: list[str] = []
        self._deadline = time.monotonic() + schedule.seconds
        self._lock = threading.Lock()
        self._busy_domains: list[str | None] = []
        possible = [name for name, fault in FAULTS.items() if stack.config.store in fault.stores]
        names = schedule.required_faults if schedule.only_required else possible
        self._repertoire = [FAULTS[name] for name in names if name != _LAST]

    @property
    def seconds_left(self) -> float:
        """Seconds until no more faults are injected."""
        return max(0.0, self._deadline - time.monotonic())

    def execute(self) -> bool:
        """Run the schedule; return whether every accepted job was seen to end, by its client and by its webhook."""
        submitters = [self._thread(self._submit, sleeping_requests, "standard", 2 * self.stack.config.workers, 1)]
        if self.stack.tensorflow_worker:
            submitters.append(self._thread(self._submit, tensorflow_requests, "batch", 1, 2))
        self._inject_one_by_one()
        lanes = [self._thread(self._inject_at_random, number) for number in range(_LANES)]
        if not self.schedule.only_required:
            lanes.append(self._thread(self._kill_workers, 99))
        for lane in lanes:
            lane.join()
        self._inject_missing()
        self.stopping.set()
        for submitter in submitters:
            submitter.join()
        return self._wait_until_settled()

    def _inject_one_by_one(self) -> None:
        until = self._deadline - self.schedule.seconds * (1 - _ALONE_SHARE)
        context = self._context(1000)
        for name in self.schedule.required_faults:
            if time.monotonic() < until and name != _LAST:
                self._inject(FAULTS[name], context)
                time.sleep(_PAUSE_SECONDS)

    def _inject_at_random(self, number: int) -> None:
        """Inject faults at random, first those that are still missing; several threads do so at the same time."""
        context = self._context(number)
        while self.seconds_left and self._repertoire:
            required = self.schedule.required_faults
            missing = [fault for fault in self._repertoire if fault.name in required and not self._done(fault.name)]
            fault = context.random.choice(missing or self._repertoire)
            if self._enter(fault.domain):
                try:
                    self._inject(fault, context)
                finally:
                    self._leave(fault.domain)
            time.sleep(context.random.uniform(0, 2 * _PAUSE_SECONDS))

    def _kill_workers(self, number: int) -> None:
        """Kill worker processes repeatedly, during all other faults."""
        context = self._context(number)
        while self.seconds_left:
            time.sleep(context.random.expovariate(self.schedule.kills_per_second))
            self._inject(FAULTS[context.random.choices(list(_KILLS), list(_KILLS.values()))[0]], context)

    def _inject_missing(self) -> None:
        """Inject the required faults that chance or a busy machine left out, and last the one that needs everything."""
        context = self._context(2000)
        for name in self.schedule.required_faults:
            for _ in range(3):
                if not self._done(name):
                    self._inject(FAULTS[name], context)

    def _done(self, name: str) -> bool:
        return self.stack.fault_log.faults[name] > 0

    def _inject(self, fault: Fault, context: FaultContext) -> None:
        self.active_faults.append(fault.name)
        began = time.time()
        try:
            if injected := fault.inject(context):
                self.stack.fault_log.count_fault(fault.name)
            self._write_log(fault.name, began, "done" if injected else "not possible now")
        except EaselError as error:  # one fault may fail because of another one
            self._write_log(fault.name, began, error.detail)
        finally:
            self.active_faults.remove(fault.name)

    def _write_log(self, name: str, began: float, outcome: str) -> None:
        """Write a line for the analysis of a failed run."""
        with (self.stack.folder / "log" / "faults.log").open("a") as log:
            log.write(f"{began:.3f} {time.time() - began:6.2f} s  {name}: {outcome}\n")

    def _enter(self, domain: str | None) -> bool:
        with self._lock:
            if domain is not None and domain in self._busy_domains:
                return False
            self._busy_domains.append(domain)
            return True

    def _leave(self, domain: str | None) -> None:
        with self._lock:
            self._busy_domains.remove(domain)

    def _submit(self, source: Callable[[Random], Iterator[JobRequest]], tier: str, depth: int, number: int) -> None:
        random = Random(f"{self._seed} {tier} {number}")  # noqa: S311 - not used for secrets
        requests = source(random)
        sent = 0
        while not self.stopping.is_set() and self.seconds_left:
            if self._may_send(tier, depth, sent):
                batch = batch_requests(requests) if tier == "standard" and random.random() < _BATCH_SHARE else None
                accepted = self.clients.send_batch(batch) if batch else self.clients.send(next(requests))
                sent += len(batch or [accepted])
            else:
                self.stopping.wait(_PAUSE_SECONDS / 3)

    def _may_send(self, tier: str, depth: int, sent: int) -> bool:
        """Return whether the queue is short and the number of jobs is not ahead of the schedule."""
        share = 1 - self.seconds_left / self.schedule.seconds
        ahead = self.schedule.jobs and sent >= min(self.schedule.jobs, self.schedule.jobs * share + depth)
        try:
            return not ahead and self.stack.services.queue_stats.depth(tier) < depth
        except EaselError:
            return False

    def _wait_until_settled(self) -> bool:
        began = time.monotonic()
        while self.clients.unfinished() or self.clients.undelivered():
            if time.monotonic() > max(began, self.clients.last_progress_at) + self.schedule.settle_seconds:
                return False
            time.sleep(_PAUSE_SECONDS)
        return True

    def _context(self, number: int) -> FaultContext:
        random = Random(f"{self._seed} {number}")  # noqa: S311 - not used for secrets
        return FaultContext(self.stack, self.clients, random, self.stopping)

    def _thread(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        return thread
