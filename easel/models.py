"""What the service says, as its clients see it: jobs, quotes, events, the queue. Tolerant of fields that come later."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, RootModel


class JobState(StrEnum):
    """The state of a job; the last three are final."""

    QUEUED = "queued"  # waits in its tier's queue
    RUNNING = "running"  # a worker holds the claim, under a lease
    SUCCEEDED = "succeeded"  # a result is published
    FAILED = "failed"  # `error` says why; where there was a good image, it is the result
    CANCELED = "canceled"  # stopped on request; only the preview is kept


TERMINAL: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED})
"""The final states."""


class ServiceModel(BaseModel):
    """The base of all models: immutable, and fields that later versions of the service add are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", serialize_by_alias=True)


class Progress(ServiceModel):
    """Progress of the optimisation."""

    phase: str = "waiting"  # waiting, preparing, 192 px, 384 px, done
    current: int = 0  # evaluations done
    total: int  # evaluations planned
    percentage: float = 0.0  # of the planned work, in arithmetic, not in steps: small scales are cheap


class Losses(ServiceModel):
    """The weighted terms of the objective; `total` is their sum."""

    total: float
    style: float
    content: float
    total_variation: float


class JobError(ServiceModel):
    """Why a job failed."""

    code: str
    detail: str


class Range(ServiceModel):
    """Seconds: half of all such jobs take at most `p50`, nine in ten at most `p90`."""

    p50: float
    p90: float


class Metrics(ServiceModel):
    """Where a job's time went, in seconds, and how fast its last worker was."""

    queue_seconds: float | None = None
    run_seconds: float | None = None
    steps_per_second: float | None = None


class Webhook(ServiceModel):
    """Whom the service tells of a job, and of what; `disabled` once the receiver has said that it is gone."""

    url: str
    events: list[str] = []
    disabled: bool = False


class JobView(ServiceModel):
    """One job at one moment (`GET /v1/jobs/{id}`). Times are aware datetimes."""

    id: str
    state: JobState
    tier: str
    recipe: dict[str, Any]
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    queue_position: int | None = None  # 1 is next
    eta_seconds: Range | None = None  # until the picture is there, waiting counted
    progress: Progress
    losses: Losses | None = None
    worker: str | None = None  # who holds it
    attempt: int | None = None
    resumed_from_step: int | None = None
    stopped_early: bool = False
    error: JobError | None = None
    metrics: Metrics = Metrics()
    webhook: Webhook | None = None
    urls: dict[str, Any] = {}

    @property
    def ended(self) -> bool:
        """Whether the state is final: succeeded, failed or canceled."""
        return self.state in TERMINAL


class JobPage(ServiceModel):
    """One page of `GET /v1/jobs`, newest first; `next_cursor` is None on the last one."""

    jobs: list[JobView]
    next_cursor: str | None = None


class Quote(ServiceModel):
    """The predicted cost of a job on one worker, waiting not counted; sizes in pixels."""

    seconds: float
    peak_memory_bytes: int  # of the machine, on a worker without a GPU
    peak_gpu_memory_bytes: int = 0  # of the GPU, on a worker with one
    memory_kind: str = "host"  # which of the two counts for the workers that live now: "host" or "gpu"
    width: int
    height: int
    fits: bool = True  # into the memory of a worker that lives now, as far as anybody knows
    fitting_size: int | None = None  # where it does not: the largest that would, if any


class Preview(ServiceModel):
    """One picture of the filmstrip: the job as it looked after `step` steps."""

    step: int
    at: datetime
    url: str


class Filmstrip(ServiceModel):
    """`GET /v1/jobs/{id}/previews`, in the order of steps."""

    previews: list[Preview]


class Delivery(ServiceModel):
    """One attempt to tell a webhook of an event; `status` is what the receiver answered, if it did."""

    id: str
    event: str
    attempt: int
    at: datetime | None = None
    status: int | None = None
    error: str | None = None
    next_attempt_at: datetime | None = None
    delivered: bool = False


class Deliveries(ServiceModel):
    """`GET /v1/jobs/{id}/deliveries`, oldest first."""

    deliveries: list[Delivery]


class Recipes(ServiceModel):
    """The presets by name, all fields of a recipe as a JSON Schema, and which few of them matter most."""

    presets: dict[str, dict[str, Any]]
    fields: dict[str, Any] = Field(alias="schema")
    knobs: list[str] = []


class Tier(ServiceModel):
    """One waiting line; `eta_seconds` is of a job that would come last."""

    name: str
    depth: int
    oldest_seconds: float | None = None
    eta_seconds: Range | None = None


class Worker(ServiceModel):
    """One worker that lives; `job` is the id of what it paints."""

    name: str
    device: str
    weights: str
    job: str | None = None
    memory_bytes: int = 0  # 0 where unknown
    memory_kind: str = "host"  # "gpu" where it is the GPU's


class Bucket(ServiceModel):
    """How many jobs ended in the five minutes from `at` on."""

    at: datetime
    completed: int


class Queue(ServiceModel):
    """The whole at a glance (`GET /v1/queue`)."""

    tiers: list[Tier]
    running: list[JobView]
    workers: list[Worker]
    completed_last_hour: int
    throughput: list[Bucket] = []


class Document(RootModel[dict[str, Any]]):
    """A JSON object that is handed on as it is."""


@dataclass(frozen=True)
class Event:
    """One line of a story: of a job (`kind` is state, progress, preview, warning, lease_lost, ...) or of the queue."""

    id: str
    kind: str
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def ends_job(self) -> bool:
        """Whether this is the last event that the job will ever have."""
        return self.kind == "state" and self.data.get("state") in TERMINAL
