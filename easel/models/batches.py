"""Batches of jobs."""

from datetime import datetime
from typing import Any

from pydantic import Field

from easel.models.jobs import DurationRange, JobError, ServiceModel


class BatchCounts(ServiceModel):
    """The number of jobs of a batch in each state."""

    queued: int = Field(default=0, description="Waiting in a queue, or for their images.")
    running: int = Field(default=0, description="Claimed by a worker.")
    succeeded: int = Field(default=0, description="With a result.")
    failed: int = Field(default=0, description="Ended by an error.")
    canceled: int = Field(default=0, description="Stopped on request.")


class BatchStatus(ServiceModel):
    """The status of a batch (`GET /v1/batches/{id}`). Jobs that were deleted do not count."""

    id: str = Field(description="A UUIDv7: sorts by time.")
    created_at: datetime = Field(description="When it was submitted.")
    completed_at: datetime | None = Field(default=None, description="When its last job ended; null before.")
    counts: BatchCounts
    progress: float = Field(
        default=0.0, description="0 to 1, of the planned arithmetic of all jobs. A job that has ended counts as done."
    )
    eta_seconds: DurationRange | None = Field(
        default=None, description="Until the last job ends, including the time in the queue; null if unknown."
    )
    contact_sheet_error: JobError | None = Field(
        default=None, description="Why there is no contact sheet, if it could not be made; null otherwise."
    )
    jobs: list[str] = Field(description="The IDs of its jobs, in the order of the submission.")
    urls: dict[str, Any] = Field(default={}, description="Paths of the batch's resources and actions.")

    @property
    def ended(self) -> bool:
        """Whether all jobs have ended."""
        return self.completed_at is not None
