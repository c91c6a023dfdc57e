"""A worker's hold on a running job: the claim, its lease, and what the holder must react to."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from shared.jobs.job import Job

_SILENT_HEARTBEATS: Final = 5
_SILENT_SHARE: Final = 1 / 12  # of the lease: 5 of 60 seconds


ControlAction = Literal["cancel", "finish"]
"""`cancel` discards the job's image, `finish` keeps the best one so far as the result."""


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a job. Its writes count only while the record holds `token` (fencing)."""

    job: Job
    token: str


@dataclass(frozen=True)
class ControlFlags:
    """What the holder of a claim must react to, as of its last lease renewal."""

    cancel: bool
    finish: bool
    others_waiting: bool  # in the same tier


class Lease(NamedTuple):
    """A lease as read, in seconds since the epoch by Redis' clock."""

    expires_at: float
    read_at: float

    def silent_since(self, job: Job, heartbeat_seconds: float) -> float | None:
        """Return when the job's worker renewed the lease last; None if that was a few heartbeats ago, or is unknown."""
        if job.lease_seconds is None:
            return None
        renewed_at = self.expires_at - job.lease_seconds
        limit = max(_SILENT_HEARTBEATS * heartbeat_seconds, _SILENT_SHARE * job.lease_seconds)
        return renewed_at if self.read_at - renewed_at > limit else None
