"""A tier's queue in a simulation, in the order of shared/ledger/scripts/fair_share.lua."""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shared.jobs.job import DEFAULT_TENANT

_Seconds = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class RemainingWork:
    """Seconds that a job still needs, as arrays of shape (devices, SAMPLES)."""

    job_id: str
    tier: str
    to_end: _Seconds  # if the job is not ended early
    to_release: _Seconds  # until its worker is free, with early ends as frequent as in the past
    needs_weights: bool = True  # so that a worker without weights learns them first
    tenant: str = DEFAULT_TENANT
    start_tag: float = 0  # its score in the queue
    cost: float = 1  # of what remains, as in the ledger

    @cached_property
    def median(self) -> float:
        """The median of `to_release`; `np.median` takes eight times as long, for every job once a second."""
        return float(np.sort(self.to_release, axis=None)[self.to_release.size // 2])


@dataclass
class _Entry:
    tag: float
    work: RemainingWork
    share: float  # of the work that remains


class FairQueue:
    """Jobs of one tier. `marker` stands for a job behind all that are queued at first."""

    def __init__(self, works: Iterable[RemainingWork] = (), marker: str | None = None) -> None:
        self._tenants: dict[str, deque[_Entry]] = {}
        self._share_ends: dict[str, float] = {}
        for work in works:
            self._tenants.setdefault(work.tenant, deque()).append(_Entry(work.start_tag, work, 1.0))
        self._virtual_time = min((entries[0].tag for entries in self._tenants.values()), default=0.0) - 1
        self._marker, self._unstarted = marker, sum(map(len, self._tenants.values()))

    def __bool__(self) -> bool:
        """Return whether anything is left, if only the marker."""
        return self._marker is not None or any(self._tenants.values())

    def take_marker(self) -> str | None:
        """Return the marker, once, after all jobs have been taken that were queued at first."""
        if self._unstarted:
            return None
        marker, self._marker = self._marker, None
        return marker

    def take(self, work_share: Callable[[RemainingWork], float]) -> tuple[RemainingWork, float, float]:
        """Remove the next job, of which `work_share(job)` is done now; return it, that share, and what remains."""
        entries = min((entries for entries in self._tenants.values() if entries), key=lambda entries: entries[0].tag)
        entry = entries.popleft()
        work, share = entry.work, min(entry.share, work_share(entry.work))
        self._unstarted -= entry.share == 1
        self._virtual_time = max(self._virtual_time, entry.tag)
        self._share_ends[work.tenant] = entry.tag + share * work.cost
        if entries:
            entries[0].tag = min(entries[0].tag, self._share_end(work.tenant))
        return work, share, entry.share - share

    def put_back(self, work: RemainingWork, share: float) -> None:
        """Add a job whose time slice has ended behind all others of its tenant; `share` of it remains."""
        entries = self._tenants.setdefault(work.tenant, deque())
        self._share_ends.setdefault(work.tenant, work.start_tag + (1 - share) * work.cost)  # of a job that ran before
        tag = math.inf if entries else self._share_end(work.tenant)  # moves forward when it becomes the first
        entries.append(_Entry(tag, work, share))

    def _share_end(self, tenant: str) -> float:
        return max(self._virtual_time + 1, self._share_ends[tenant])
