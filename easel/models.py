"""What the service returns: jobs, quotes, previews, deliveries, recipes, the queue. Times are aware datetimes."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

ImageFormat = Literal["png", "jpeg", "webp", "tiff"]
"""The file formats of a result; PNG and TIFF are lossless."""


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
    """The weighted terms of the objective; `total` is their sum."""

    total: float = Field(description="The objective.")
    style: float = Field(description="Weighted style loss.")
    content: float = Field(description="Weighted content loss.")
    total_variation: float = Field(description="Weighted variation loss.")


class JobError(ServiceModel):
    """Why a job failed."""

    code: str = Field(description="Stable, for programs.")
    detail: str = Field(description="What happened and what to do, for people.")


class DurationRange(ServiceModel):
    """A duration in seconds: half of all such jobs take at most `p50`, nine in ten at most `p90`."""

    p50: float = Field(description="The median: as likely too long as too short.")
    p90: float = Field(description="Nine in ten jobs take at most this long.")


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


class UploadedImage(ServiceModel):
    """An image that quotes and jobs can refer to by its ID (`POST /v1/images`)."""

    id: str = Field(description="`sha256:` and the hash of the stored image. The same image has the same ID.")
    width: int = Field(description="In pixels, upright.")
    height: int = Field(description="In pixels, upright.")
    bit_depth: int = Field(default=8, description="Bits per channel: 8 or 16.")
    expires_at: datetime = Field(description="When the ID becomes unknown, unless it is used before.")


class JobPage(ServiceModel):
    """One page of `GET /v1/jobs`, newest first; `next_cursor` is None on the last page. One before may be empty."""

    jobs: list[JobStatus] = Field(description="Newest first.")
    next_cursor: str | None = Field(default=None, description="To get the next page; null on the last one.")


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
    jobs: list[str] = Field(description="The IDs of its jobs, in the order of the submission.")
    urls: dict[str, Any] = Field(default={}, description="Paths of the batch's resources and actions.")

    @property
    def ended(self) -> bool:
        """Whether all jobs have ended."""
        return self.completed_at is not None


class SizeQuote(ServiceModel):
    """What the same job would take at another size."""

    size: int = Field(description="Longest side in pixels.")
    seconds: float = Field(description="The p50 of its `run_seconds`.")
    fits: bool = Field(description="Whether a live worker of the tier has the memory; true if unknown.")


class Quote(ServiceModel):
    """The predicted cost of a job on one worker, without the time in the queue; sizes in pixels."""

    seconds: float = Field(description="The p50 of `run_seconds`.")
    run_seconds: DurationRange | None = Field(default=None, description="On one worker, without the time in the queue.")
    eta_seconds: DurationRange | None = Field(
        default=None, description="Until the job would end, including the time in the queue; null without a worker."
    )
    queue_depth: int = Field(default=0, description="Jobs queued before it in its tier.")
    running_jobs: int = Field(default=0, description="Jobs that are running now, in all tiers.")
    tier: str = Field(default="", description="The queue that the job would be in.")
    recipe: dict[str, Any] = Field(default={}, description="All fields of the recipe.")
    peak_memory_bytes: int = Field(description="The machine's memory, on a worker without a GPU.")
    peak_gpu_memory_bytes: int = Field(default=0, description="The GPU's memory, on a worker with one.")
    memory_kind: str = Field(
        default="host", description="The memory that limits the live workers of the tier: `host` or `gpu`."
    )
    width: int = Field(description="Of the result, in pixels.")
    height: int = Field(description="Of the result, in pixels.")
    fits: bool = Field(default=True, description="Whether a live worker of the tier has the memory; true if unknown.")
    fitting_size: int | None = Field(
        default=None, description="The largest size that fits; null if the job fits, or none does."
    )
    sizes: dict[str, SizeQuote] = Field(default={}, description="By the names of the usual sizes.")


class Preview(ServiceModel):
    """One preview of the filmstrip: the image after `step` steps."""

    step: int = Field(description="Steps done.")
    at: datetime = Field(description="When it was made.")
    url: str = Field(description="Path of the JPEG.")


class Filmstrip(ServiceModel):
    """The previews of a job (`GET /v1/jobs/{id}/previews`), ordered by step."""

    previews: list[Preview] = Field(description="By step.")


class SavedIteration(ServiceModel):
    """One saved iteration: the image after `step` steps, at full size."""

    step: int = Field(description="Steps done.")
    url: str = Field(description="Path of the PNG.")


class SavedIterationList(ServiceModel):
    """The saved iterations of a job (`GET /v1/jobs/{id}/iterations`), ordered by step."""

    iterations: list[SavedIteration] = Field(description="By step.")


class ShareLink(ServiceModel):
    """A link to a result that needs no key (`POST /v1/jobs/{id}/share`)."""

    url: str = Field(description="The link to the result; its path, if EASEL_PUBLIC_URL is not set.")
    preview_url: str | None = Field(default=None, description="The same for a small JPEG; null if there is none.")
    expires_at: datetime = Field(description="When the link stops working.")


class Delivery(ServiceModel):
    """One attempt to deliver a webhook; `status` is the HTTP status of the receiver's response, if there was one."""

    id: str = Field(description="The event's ID, as in the header `webhook-id`: the same in every attempt.")
    event: str = Field(description="Such as `job.succeeded`.")
    attempt: int = Field(description="The number of the attempt, from 1.")
    at: datetime | None = Field(default=None, description="When it was made.")
    status: int | None = Field(default=None, description="HTTP status of the response; null without one.")
    error: str | None = Field(default=None, description="Why there was no response, or null.")
    next_attempt_at: datetime | None = Field(default=None, description="Null if there is no further attempt.")
    delivered: bool = Field(default=False, description="Whether the response was 2xx.")


class Deliveries(ServiceModel):
    """The webhook deliveries of a job (`GET /v1/jobs/{id}/deliveries`), oldest first."""

    deliveries: list[Delivery] = Field(description="Oldest first.")


class Recipes(ServiceModel):
    """The presets by name, the fields of a recipe as a JSON Schema, and the names of the most important fields."""

    presets: dict[str, dict[str, Any]] = Field(description="All fields of each preset, by name.")
    fields: dict[str, Any] = Field(alias="schema", description="A JSON Schema of the fields of a recipe.")
    featured: list[str] = Field(default=[], description="The most important fields.")
    sizes: dict[str, int] = Field(default={}, description="The usual sizes by name, in pixels.")


class Tier(ServiceModel):
    """One tier's queue; `eta_seconds` is that of a job submitted now."""

    name: str = Field(description="As in EASEL_TIERS.")
    default: bool = Field(default=False, description="Whether jobs without a tier go here.")
    depth: int = Field(description="Queued jobs.")
    oldest_seconds: float | None = Field(default=None, description="The age of the next job; null if none is queued.")
    eta_seconds: DurationRange | None = Field(default=None, description="Of a job submitted now.")


class Worker(ServiceModel):
    """One live worker; `job` is the ID of the job that it runs, null if that is another tenant's."""

    name: str = Field(description="Unique.")
    device: str = Field(description="Such as `cpu:2`.")
    weights: str = Field(description="Source and hash of the VGG19 weights.")
    tiers: tuple[str, ...] = Field(default=(), description="The queues that it serves, in order.")
    job: str | None = Field(default=None, description="The ID of its job; null if that is another tenant's.")
    busy: bool = Field(default=False, description="Whether it runs a job.")
    memory_bytes: int = Field(default=0, description="Available to its job; 0 if unknown.")
    memory_kind: str = Field(default="host", description="`gpu` for the memory of a GPU.")
    pixels_per_second: float | None = Field(default=None, description="As measured during its last job.")
    seen_at: datetime | None = Field(default=None, description="Time of the worker's last registration.")


class ThroughputBucket(ServiceModel):
    """The number of jobs that ended in the five minutes from `at`."""

    at: datetime = Field(description="Start of the five minutes.")
    completed: int = Field(description="Jobs that succeeded, failed or were canceled.")


class Queue(ServiceModel):
    """The state of the queue (`GET /v1/queue`)."""

    tiers: list[Tier] = Field(description="In the order they are served.")
    running: list[JobStatus] = Field(description="The tenant's running jobs.")
    workers: list[Worker] = Field(description="The live workers.")
    completed_last_hour: int = Field(description="Jobs that succeeded, failed or were canceled.")
    throughput: list[ThroughputBucket] = Field(
        default=[], description="Of about the last hour; the last bucket is incomplete."
    )
