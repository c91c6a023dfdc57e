"""The lease of a running job, and whether its worker has stopped renewing it."""

from typing import Final, NamedTuple

from shared.jobs.job import Job

_SILENT_HEARTBEATS: Final = 5
_SILENT_SHARE: Final = 1 / 12  # of the lease: 5 of 60 seconds


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
