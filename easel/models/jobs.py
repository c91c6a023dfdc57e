"""Jobs: their states and their status."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field


class JobState(StrEnum):
    """The state of a job; the last three are final."""

    QUEUED = "queued"  # waiting in its tier's queue
    RUNNING = "running"  # claimed by a worker, under a lease
    SUCCEEDED = "succeeded"  # the result is published
    FAILED = "failed"  # `error` says why; the last good image, if any, is the result
    CANCELED = "canceled"  # stopped on request; only previews and saved iterations are kept


TERMINAL: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED})
"""The final states."""


class ServiceModel(BaseModel):
    """The base of all models: immutable, and fields that later versions of the service add are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", serialize_by_alias=True)


class DurationRange(ServiceModel):
    """A duration in seconds: half of all such jobs take at most `p50`, nine in ten at most `p90`."""

    p50: float = Field(description="The median: as likely too long as too short.")
    p90: float = Field(description="Nine in ten jobs take at most this long.")


class Progress(ServiceModel):
    """Progress of the optimization."""

    phase: str = Field(
        default="waiting",
        description="`waiting`, `preparing`, `learning filters, once, 45 %`, a size as in `384 px` or "
        "`patches, 96 px`, or `done`.",
    )
    current: int = Field(default=0, description="Steps done.")
    total: int = Field(description="Steps planned.")
    percentage: float = Field(
        default=0.0, description="Of the planned arithmetic, not of the steps: small sizes are cheap."
    )


class Losses(ServiceModel):
    """The weighted terms of the objective; `total` is their sum.

    They are those of the image that is optimized, before `averaging`, `color: content` and masks.
    """

    total: float = Field(description="The objective.")
    style: float = Field(description="Weighted style loss.")
    content: float = Field(description="Weighted content loss.")
    total_variation: float = Field(description="Weighted variation loss.")


class JobError(ServiceModel):
    """Why a job failed, or the contact sheet of a batch."""

    code: str = Field(description="Stable, for programs.")
    detail: str = Field(description="What happened and what to do, for people.")


class Metrics(ServiceModel):
    """Where a job's time went, in seconds, and how fast its last worker was."""

    queue_seconds: float | None = Field(default=None, description="From submission to the first claim, or until now.")
    run_seconds: float | None = Field(default=None, description="Under a claim, over all attempts.")
    steps_per_second: float | None = Field(default=None, description="Of its last worker; null until measured.")


class Webhook(ServiceModel):
    """The URL that receives a job's webhooks; `disabled` after it responded 410 Gone."""

    url: str = Field(description="Receives the events.")
    events: list[str] = Field(default=[], description="The events that are sent.")
    disabled: bool = Field(default=False, description="Whether it responded 410 Gone.")


class JobStatus(ServiceModel):
    """The status of one job (`GET /v1/jobs/{id}`)."""

    id: str = Field(description="A UUIDv7: sorts by time.")
    state: JobState
    tier: str = Field(description="The queue that it is in.")
    recipe: dict[str, Any] = Field(description="All fields of the recipe.")
    style_count: int = Field(default=1, description="The number of style images.")
    waiting_for: str | None = Field(
        default=None, description="`inputs` while images are fetched from their URLs; then the job gets its position."
    )
    created_at: datetime = Field(description="When it was submitted.")
    started_at: datetime | None = Field(default=None, description="When a worker first claimed it.")
    completed_at: datetime | None = Field(default=None, description="When it ended.")
    cancel_requested_at: datetime | None = Field(default=None, description="When a cancel was requested.")
    finish_requested_at: datetime | None = Field(default=None, description="When an early finish was requested.")
    acknowledged_at: datetime | None = Field(default=None, description="When the loop stopped on request.")
    canceled_at: datetime | None = Field(default=None, description="When the device was free again.")
    queue_position: int | None = Field(default=None, description="1 is next; may grow as other tenants submit.")
    eta_seconds: DurationRange | None = Field(
        default=None, description="Until the job ends, including the time in the queue; null if unknown."
    )
    progress: Progress
    losses: Losses | None = None
    worker: str | None = Field(default=None, description="The name of the worker that runs it; null if none does.")
    worker_silent_since: datetime | None = Field(
        default=None, description="When the worker renewed its lease last, if it has missed several renewals."
    )
    lease_expires_at: datetime | None = Field(
        default=None,
        description="When the job goes back to its queue, unless the worker answers; null while it is not silent.",
    )
    attempt: int | None = Field(default=None, description="The number of claims so far.")
    resumed_from_step: int | None = Field(default=None, description="The last claim started from its checkpoint.")
    stopped_early: bool = Field(default=False, description="Whether it ended before its last step.")
    stopped_at_step: int | None = Field(default=None, description="Its last step, if it was finished early.")
    error: JobError | None = None
    metrics: Metrics = Metrics()
    webhook: Webhook | None = None
    metadata: dict[str, str] = Field(default={}, description="As submitted.")
    batch: str | None = Field(default=None, description="The ID of the batch that it was submitted with.")
    urls: dict[str, Any] = Field(default={}, description="Paths of the job's resources and actions.")

    @property
    def ended(self) -> bool:
        """Whether the state is final: succeeded, failed or canceled."""
        return self.state in TERMINAL


class JobPage(ServiceModel):
    """One page of `GET /v1/jobs`, newest first; `next_cursor` is None on the last page. One before may be empty."""

    jobs: list[JobStatus] = Field(description="Newest first.")
    next_cursor: str | None = Field(default=None, description="To get the next page; null on the last one.")
