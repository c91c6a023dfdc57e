"""The queue and the workers."""

from datetime import datetime

from pydantic import Field

from easel.models.jobs import DurationRange, JobStatus, ServiceModel


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
