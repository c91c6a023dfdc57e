"""Simulates the queue on the current workers, in the order of shared/ledger/scripts/fair_share.lua."""

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from shared.jobs.job import Job
from shared.ledger.queue_stats import WorkerInfo

_MAX_TURNS: Final = 400


class Duration(NamedTuple):
    """An uncertain number of seconds."""

    mean: float
    variance: float


@dataclass(frozen=True)
class RemainingWork:
    """What a job still needs if it is not ended early."""

    job: Job
    by_device: Mapping[str, Duration]
    cost: float  # as in the ledger

    @cached_property
    def seconds(self) -> Duration:
        """The time on any of the devices."""
        times, count = self.by_device.values(), len(self.by_device)
        mean = sum(time.mean for time in times) / count
        return Duration(mean, sum(time.variance + (time.mean - mean) ** 2 for time in times) / count)


class Turn(NamedTuple):
    """A job at a worker: the share of its remaining work that is done now, and the share that remains."""

    work: RemainingWork
    share: float
    remaining: float


class FairQueue:
    """The queued jobs of one tier."""

    def __init__(self, works: Iterable[RemainingWork] = ()) -> None:
        self._tenants: defaultdict[str, deque[tuple[float, RemainingWork, float]]] = defaultdict(deque)
        self._share_ends: dict[str, float] = {}
        for work in works:
            self._tenants[work.job.tenant].append((work.job.order, work, 1.0))
        self._virtual_time = min((jobs[0][0] for jobs in self._tenants.values()), default=0.0) - 1

    def __bool__(self) -> bool:
        return any(self._tenants.values())

    def take(self, quantum: float) -> Turn:
        """Remove the next job, for a turn of at most `quantum` seconds."""
        jobs = min((jobs for jobs in self._tenants.values() if jobs), key=lambda jobs: jobs[0][0])
        tag, work, left = jobs.popleft()
        share = min(left, quantum / work.seconds.mean)
        self._virtual_time = max(self._virtual_time, tag)
        self._share_ends[work.job.tenant] = tag + share * work.cost
        if jobs:
            jobs[0] = (min(jobs[0][0], self._share_end(work)), *jobs[0][1:])
        return Turn(work, share, left - share)

    def put_back(self, turn: Turn) -> None:
        """Add a job whose time slice has ended behind all others of its tenant."""
        work, jobs = turn.work, self._tenants[turn.work.job.tenant]
        self._share_ends.setdefault(work.job.tenant, work.job.order + (1 - turn.remaining) * work.cost)  # it ran before
        jobs.append((math.inf if jobs else self._share_end(work), work, turn.remaining))  # earlier once it is the first

    def _share_end(self, work: RemainingWork) -> float:
        return max(self._virtual_time + 1, self._share_ends[work.job.tenant])


def simulate(
    running: Sequence[RemainingWork],
    queues: Mapping[str, Sequence[RemainingWork]],
    workers: Sequence[WorkerInfo],
    slice_seconds: float,
    mean_fraction: float,
) -> dict[str, Duration]:
    """Return when each job ends, if it is not ended early; the jobs before it take `mean_fraction` of their time.

    Each job takes its mean time, and is taken by the worker of its tier that is free first; a queued job without such a
    worker has no end. The variances of the jobs that a worker takes add up. The first workers hold the running jobs.
    """
    total = sum(work.seconds.mean for queue in (running, *queues.values()) for work in queue)
    quantum = max(slice_seconds, total / _MAX_TURNS)  # bounds the number of turns, however long the jobs are
    learning = [worker.weights_seconds for worker in workers]
    waiting = defaultdict(FairQueue, {tier: FairQueue(queue) for tier, queue in queues.items()})
    claimed = {number: FairQueue([work]).take(quantum) for number, work in enumerate(running)}
    free: list[tuple[float, int, float, Turn | None]] = [(0.0, number, 0.0, None) for number in range(len(workers))]
    ends: dict[str, Duration] = {}
    while free:
        now, number, variance, ended = heapq.heappop(free)
        if ended and ended.remaining > 0:
            waiting[ended.work.job.request.tier].put_back(ended)
        queues_of_worker = (waiting[tier] for tier in workers[number].tiers)
        turn = claimed.pop(number, None) or next((queue.take(quantum) for queue in queues_of_worker if queue), None)
        if turn:
            work, share, seconds = turn.work, turn.share, turn.work.by_device[workers[number].device]
            if work.job.request.recipe.steps:
                now, learning[number] = now + learning[number], 0
            ends[work.job.id] = Duration(now + share * seconds.mean, variance + seconds.variance)
            end = now + share * seconds.mean * mean_fraction
            heapq.heappush(free, (end, number, variance + share * seconds.variance, turn))
    return ends
