"""Simulates the queue on the current workers, in all futures at the same time."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from api.eta.fair_queue import FairQueue, RemainingWork
from api.eta.speed_model import SAMPLES, Samples

_MAX_TURNS: Final = 400
_SAMPLE_INDICES: Final = np.arange(SAMPLES)


@dataclass(frozen=True, eq=False)
class Slot:
    """Where and when a job at the end of a tier's queue would start, per future."""

    start: Samples  # seconds from now
    device: np.ndarray[Any, np.dtype[np.int64]]  # index into the arrays of RemainingWork
    weights_seconds: Samples  # that its worker takes first to learn weights, for a job that needs them


@dataclass
class SimulationResult:
    """When each job ends, and where and when a new one would start."""

    ends: dict[str, Samples]  # seconds from now, by job ID
    next_slots: dict[str, Slot]  # by tier


def simulate(
    running: Sequence[RemainingWork],
    queues: Mapping[str, Sequence[RemainingWork]],
    workers: Sequence[int],
    weights_seconds: Sequence[float],
    slice_seconds: float,
) -> SimulationResult:
    """Return when each job ends in each future, provided that no job is added.

    `workers` holds the device index of each worker, `weights_seconds` the time that it takes to learn its weights
    before its next job that needs some. The first workers hold the running jobs. Jobs are taken in the order of a
    typical future, each by the worker that is free first.
    """
    learning = np.tile(weights_seconds, (SAMPLES, 1))
    free_at = np.zeros((SAMPLES, len(workers)))
    devices = np.array(workers)
    resumable_at: dict[str, Samples] = {}
    result = SimulationResult({}, {})
    for turn, (work, share) in enumerate(_turns(running, queues, len(workers), slice_seconds)):
        worker = np.full(SAMPLES, turn) if turn < len(running) else free_at.argmin(axis=1)
        if isinstance(work, str):
            result.next_slots[work] = Slot(
                free_at[_SAMPLE_INDICES, worker], devices[worker], learning[_SAMPLE_INDICES, worker]
            )
            continue
        start = np.maximum(free_at[_SAMPLE_INDICES, worker], resumable_at.get(work.job_id, 0))
        if work.needs_weights:
            start += learning[_SAMPLE_INDICES, worker]
            learning[_SAMPLE_INDICES, worker] = 0
        result.ends[work.job_id] = start + share * work.to_end[devices[worker], _SAMPLE_INDICES]
        resumable_at[work.job_id] = start + share * work.to_release[devices[worker], _SAMPLE_INDICES]
        free_at[_SAMPLE_INDICES, worker] = resumable_at[work.job_id]
    return result


def _turns(
    running: Sequence[RemainingWork],
    queues: Mapping[str, Sequence[RemainingWork]],
    workers: int,
    slice_seconds: float,
) -> Iterator[tuple[RemainingWork | str, float]]:
    """Yield each turn at a worker, in order: the job and the share of its remaining work that is done in the turn.

    A tier's name is yielded where a job would start that is behind all others of the tier.
    """
    waiting = {tier: FairQueue(queue, marker=tier) for tier, queue in queues.items()}
    total = sum(work.median for queue in (running, *queues.values()) for work in queue)
    quantum = max(slice_seconds, total / _MAX_TURNS)  # bounds the number of turns, however long the jobs are
    # Until when, which worker, its job, the job's remaining share.
    busy: list[tuple[float, int, RemainingWork | None, float]] = []
    for number, work in enumerate(running):
        share = min(1.0, quantum / work.median)
        busy.append((share * work.median, number, work, 1 - share))
        yield work, share
    busy += [(0.0, number, None, 0.0) for number in range(len(running), workers)]
    heapq.heapify(busy)
    while busy:
        now, number, returned, remaining_share = heapq.heappop(busy)
        if returned and remaining_share > 0:
            waiting.setdefault(returned.tier, FairQueue()).put_back(returned, remaining_share)
        while queue := next((queue for queue in waiting.values() if queue), None):
            if tier := queue.take_marker():  # takes no worker
                yield tier, 0.0
                continue
            job, share, remaining_share = queue.take(lambda work: quantum / work.median)
            yield job, share
            heapq.heappush(busy, (now + share * job.median, number, job, remaining_share))
            break
