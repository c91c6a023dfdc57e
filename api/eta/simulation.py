"""Simulates the queue on the current workers, in all futures at the same time.

The order is that of shared/ledger/scripts/fair_share.lua.
"""

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np

from api.eta.speed_model import SAMPLES, Samples
from shared.jobs.job import DEFAULT_TENANT

_MAX_TURNS: Final = 400
FUTURES: Final = np.arange(SAMPLES)


@dataclass(frozen=True, eq=False)
class RemainingWork:
    """Seconds that a job still needs, as arrays of shape (devices, SAMPLES)."""

    job_id: str
    tier: str
    to_end: Samples  # if the job is not ended early
    to_release: Samples  # until its worker is free, with early ends as frequent as in the past
    needs_weights: bool = True  # so that a worker without weights learns them first
    tenant: str = DEFAULT_TENANT
    start_tag: float = 0  # its score in the queue
    cost: float = 1  # of what remains, as in the ledger

    @cached_property
    def median(self) -> float:
        """The median of `to_release`; `np.median` takes eight times as long, for every job once a second."""
        return float(np.sort(self.to_release, axis=None)[self.to_release.size // 2])


class Turn(NamedTuple):
    """A job at a worker: the share of its remaining work that is done now, and the share that remains."""

    work: RemainingWork
    share: float
    remaining: float
    is_first: bool


class FairQueue:
    """The queued jobs of one tier."""

    def __init__(self, works: Iterable[RemainingWork] = ()) -> None:
        self._tenants: defaultdict[str, deque[tuple[float, RemainingWork, float]]] = defaultdict(deque)
        self._share_ends: dict[str, float] = {}
        for work in works:
            self._tenants[work.tenant].append((work.start_tag, work, 1.0))
        self._virtual_time = min((jobs[0][0] for jobs in self._tenants.values()), default=0.0) - 1

    def __bool__(self) -> bool:
        return any(self._tenants.values())

    def take(self, quantum: float) -> Turn:
        """Remove the next job, for a turn of at most `quantum` seconds."""
        jobs = min((jobs for jobs in self._tenants.values() if jobs), key=lambda jobs: jobs[0][0])
        tag, work, left = jobs.popleft()
        share = min(left, quantum / work.median)
        self._virtual_time = max(self._virtual_time, tag)
        self._share_ends[work.tenant] = tag + share * work.cost
        if jobs:
            jobs[0] = (min(jobs[0][0], self._share_end(work)), *jobs[0][1:])
        return Turn(work, share, left - share, is_first=left == 1)

    def put_back(self, turn: Turn) -> None:
        """Add a job whose time slice has ended behind all others of its tenant."""
        work, jobs = turn.work, self._tenants[turn.work.tenant]
        self._share_ends.setdefault(work.tenant, work.start_tag + (1 - turn.remaining) * work.cost)  # it ran before
        jobs.append((math.inf if jobs else self._share_end(work), work, turn.remaining))  # earlier once it is the first

    def _share_end(self, work: RemainingWork) -> float:
        return max(self._virtual_time + 1, self._share_ends[work.tenant])


class Slot(NamedTuple):
    """Where and when the next job of a queue would start, per future."""

    worker: np.ndarray[Any, np.dtype[np.int64]]
    start: Samples  # seconds from now
    device: np.ndarray[Any, np.dtype[np.int64]]  # index into the arrays of RemainingWork
    weights_seconds: Samples  # that its worker takes first to learn weights, for a job that needs them


def simulate(
    running: Sequence[RemainingWork],
    queues: Mapping[str, Sequence[RemainingWork]],
    workers: Sequence[int],
    weights_seconds: Sequence[float],
    slice_seconds: float,
) -> tuple[dict[str, Samples], dict[str, Slot]]:
    """Return when each job ends in each future, and where one would start at the end of each tier's queue.

    `workers` holds the device index of each worker, `weights_seconds` the time that it takes to learn its weights
    before its next job that needs some. The first workers hold the running jobs. Jobs are taken in the order of a
    typical future, each by the worker that is free first.
    """
    free_at, learning = np.zeros((SAMPLES, len(workers))), np.tile(weights_seconds, (SAMPLES, 1))
    devices, tiers = np.array(workers), [*queues]
    ends: dict[str, Samples] = {}
    released: dict[str, Samples] = {}
    waiting = {tier: FairQueue(queue) for tier, queue in queues.items()}
    total = sum(work.median for queue in (running, *queues.values()) for work in queue)
    quantum = max(slice_seconds, total / _MAX_TURNS)  # bounds the number of turns, however long the jobs are
    busy: list[tuple[float, int, Turn | None]] = [(0.0, number, None) for number in range(len(workers))]

    def slot_at(worker: np.ndarray[Any, np.dtype[np.int64]]) -> Slot:
        return Slot(worker, free_at[FUTURES, worker], devices[worker], learning[FUTURES, worker])

    def run(turn: Turn, slot: Slot) -> Slot:
        work, share, at = turn.work, turn.share, (FUTURES, slot.worker)
        start = np.maximum(slot.start, released.get(work.job_id, 0)) + work.needs_weights * slot.weights_seconds
        learning[at] *= not work.needs_weights
        ends[work.job_id] = start + share * work.to_end[slot.device, FUTURES]
        free_at[at] = released[work.job_id] = start + share * work.to_release[slot.device, FUTURES]
        return slot_at(free_at.argmin(axis=1))

    slot = slot_at(free_at.argmin(axis=1))
    for number, work in enumerate(running):
        share = min(1.0, quantum / work.median)
        turn = Turn(work, share, 1 - share, is_first=False)
        slot = run(turn, slot_at(np.full(SAMPLES, number)))
        busy[number] = (share * work.median, number, turn)
    heapq.heapify(busy)
    next_slots = dict.fromkeys(tiers, slot)
    while busy:
        now, number, ended = heapq.heappop(busy)
        if ended and ended.remaining > 0:
            waiting.setdefault(ended.work.tier, FairQueue()).put_back(ended)
        if tier := next((tier for tier, queue in waiting.items() if queue), None):
            turn = waiting[tier].take(quantum)
            slot = run(turn, slot)
            heapq.heappush(busy, (now + turn.share * turn.work.median, number, turn))
            if tier in tiers:  # later tiers wait for all of its jobs, a new job of its own only for those before it
                next_slots |= dict.fromkeys(tiers[tiers.index(tier) + (not turn.is_first) :], slot)
    return ends, next_slots
