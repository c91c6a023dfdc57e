"""The queue played forward on the workers of the moment, in many futures at once."""

import heapq
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from api.eta.speed_model import DRAWS, Draws

_ROUNDS: Final = 400
_EVERY: Final = np.arange(DRAWS)
_Seconds = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class Work:
    """What is left of a job, on each device and in each future."""

    job_id: str
    tier: str
    alone: _Seconds  # (devices, DRAWS) seconds, if nobody ends it early
    held: _Seconds  # the same, with the early ends that there are: its worker is free then
    real: bool = True  # False for one that is only thought of, and keeps no worker from the others

    @cached_property
    def usual(self) -> float:
        """Seconds, in the middle of all; `np.median` takes eight times as long, for every job once a second."""
        return float(np.sort(self.held, axis=None)[self.held.size // 2])


_Rest = tuple[Work, float]
"""A job, and the share of what was left of it that is left still."""


def play(
    running: Sequence[Work], lines: Mapping[str, deque[Work]], devices: Sequence[int], slice_seconds: float
) -> dict[str, Draws]:
    """When each job ends in each future, in seconds from now, if nobody else came.

    Each of `devices` has a worker, an index into Work's arrays; the first ones hold the running jobs. The waiting are
    taken in the order that they will be taken usually, each by whoever is free first.
    """
    free = np.zeros((DRAWS, len(devices)))
    kinds = np.array(devices)
    ready: dict[str, Draws] = {}
    ends: dict[str, Draws] = {}
    for number, (work, share) in enumerate(_turns(running, lines, len(devices), slice_seconds)):
        lane = np.full(DRAWS, number) if number < len(running) else free.argmin(axis=1)
        began = np.maximum(free[_EVERY, lane], ready.get(work.job_id, 0))
        ends[work.job_id] = began + share * work.alone[kinds[lane], _EVERY]
        if work.real:
            ready[work.job_id] = free[_EVERY, lane] = began + share * work.held[kinds[lane], _EVERY]
    return ends


def _turns(
    running: Sequence[Work], lines: Mapping[str, deque[Work]], workers: int, slice_seconds: float
) -> Iterator[tuple[Work, float]]:
    """Each turn at a worker, in order, and the share of what is left of the job that is done in it."""
    waiting = {tier: deque((work, 1.0) for work in line) for tier, line in lines.items()}
    total = sum(work.usual for line in (running, *lines.values()) for work in line)
    quantum = max(slice_seconds, total / _ROUNDS)  # bounds the turns, however long the jobs
    lanes: list[tuple[float, int, _Rest | None]] = []  # when it is free, and what it gives back then
    for number, work in enumerate(running):
        share = _share(work, quantum, 1.0)
        lanes.append((share * work.usual, number, (work, 1 - share)))
        yield work, share
    lanes += [(0.0, number, None) for number in range(len(running), workers)]
    heapq.heapify(lanes)
    while lanes:
        now, number, back = heapq.heappop(lanes)
        if back and back[1] > 0:
            waiting.setdefault(back[0].tier, deque()).append(back)
        if line := next((line for line in waiting.values() if line), None):
            work, rest = line.popleft()
            share = _share(work, quantum, rest)
            yield work, share
            busy = (now + share * work.usual, number, (work, rest - share))
            heapq.heappush(lanes, busy if work.real else (now, number, None))


def _share(work: Work, quantum: float, rest: float) -> float:
    """Of the job, that is done in one turn; one that is only thought of is thought of whole."""
    return min(rest, quantum / work.usual) if work.real else rest
