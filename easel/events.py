"""The events of a job's stream and of the queue's stream: one class per kind.

An event has an `id` to resume after, a `kind`, and `data`, whose fields depend on the kind. Later versions of the
service may add fields, which are kept, and kinds, which arrive as UnknownEvent. Times are aware datetimes in UTC.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Field, JsonValue, PlainSerializer, TypeAdapter, WithJsonSchema

from easel.models import TERMINAL, DurationRange, JobState, JobStatus, Losses, Progress, Queue, ServiceModel


def iso_milliseconds(moment: datetime) -> str:
    """Return an aware time in ISO 8601 in UTC, such as 2026-11-22T14:00:02.125Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[
    datetime,
    PlainSerializer(iso_milliseconds, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time, in JSON as `iso_milliseconds` returns it."""


# What each kind carries in `data`.


class StateChange(ServiceModel):
    """The new state of a job."""

    state: JobState
    at: Timestamp = Field(description="When the state changed.")
    restored: bool = Field(default=False, description="Whether the job was restored after Redis lost its data.")


class ProgressReport(ServiceModel):
    """Progress of the optimization, about once per heartbeat of the worker."""

    progress: Progress
    losses: Losses | None = None
    steps_per_second: float | None = Field(default=None, description="Null until it has been measured.")


class Estimate(ServiceModel):
    """The job's position and when it will have ended, as currently estimated."""

    queue_position: int | None = Field(default=None, description="1 for the next job; null if it is not queued.")
    eta_seconds: DurationRange | None = Field(default=None, description="Until the job ends; null if unknown.")


class NewPreview(ServiceModel):
    """A preview that can be fetched."""

    step: int = Field(description="The number of steps after which the image was taken.")
    url: str = Field(description="Path of the JPEG.")


class JobWarning(ServiceModel):
    """A problem that the job survived."""

    code: str = Field(description="Stable, such as `out_of_memory`.")
    detail: str = Field(description="A sentence for people.")


class WorkerSilence(ServiceModel):
    """Whether the worker that holds a job renews its lease; if it does, or no worker holds the job, both are null."""

    since: Timestamp | None = Field(default=None, description="When the worker renewed its lease last.")
    lease_expires_at: Timestamp | None = Field(
        default=None, description="Soon after this time the job goes back to its queue, unless the worker answers."
    )


class LeaseLoss(ServiceModel):
    """A worker did not renew its lease in time; the job goes back to the queue or fails."""

    worker: str = Field(description="The worker's name; empty if unknown.")
    at: Timestamp = Field(description="When the lease ran out.")


class ControlRequest(ServiceModel):
    """The time of a request to cancel or to finish a job."""

    at: Timestamp = Field(description="When it was made.")


class Acknowledgement(ServiceModel):
    """The optimization loop has stopped on request."""

    request: Literal["cancel", "finish"] = Field(description="What was requested.")
    step: int = Field(description="The number of steps done.")


# The events.


class _Event(ServiceModel):
    id: str = Field(default="", description="Resume after it with the header `Last-Event-ID`; empty if it has none.")

    @property
    def ends_job(self) -> bool:
        """Whether this is the last event of a job."""
        return False


_NoId = Annotated[str, BeforeValidator(lambda _: "")]
"""The ID of an event that has none: an SSE parser repeats the previous event's."""


class StateEvent(_Event):
    """A job was queued, claimed by a worker, given back, or ended."""

    kind: Literal["state"]
    data: StateChange

    @property
    def ends_job(self) -> bool:
        """Whether this is the last event of a job: its new state is final."""
        return self.data.state in TERMINAL


class ProgressEvent(_Event):
    """A job made progress."""

    kind: Literal["progress"]
    data: ProgressReport


class EstimateEvent(_Event):
    """A job's position or estimate changed. It is not stored, so it has no `id` and is not sent again on a replay."""

    id: _NoId = Field(default="", description="Empty.")
    kind: Literal["estimate"]
    data: Estimate


class PreviewEvent(_Event):
    """A job has a new preview."""

    kind: Literal["preview"]
    data: NewPreview


class WarningEvent(_Event):
    """A job had a problem and continues."""

    kind: Literal["warning"]
    data: JobWarning


class WorkerSilentEvent(_Event):
    """A job's worker does not answer, or answers again. Like `estimate`, it is not stored and has no `id`."""

    id: _NoId = Field(default="", description="Empty.")
    kind: Literal["worker_silent"]
    data: WorkerSilence


class LeaseLostEvent(_Event):
    """A job lost its worker."""

    kind: Literal["lease_lost"]
    data: LeaseLoss


class CancelRequestedEvent(_Event):
    """Cancellation of a job was requested."""

    kind: Literal["cancel_requested"]
    data: ControlRequest


class FinishRequestedEvent(_Event):
    """An early finish of a job was requested."""

    kind: Literal["finish_requested"]
    data: ControlRequest


class AcknowledgedEvent(_Event):
    """The worker stopped the job on request."""

    kind: Literal["acknowledged"]
    data: Acknowledgement


class QueueChangedEvent(_Event):
    """The queue as it is now: first in the stream, then after each change."""

    kind: Literal["queue"]
    data: Queue


class UnknownEvent(_Event):
    """An event of a kind that this version of the client has no class for; `name` is the kind as it was sent."""

    kind: Literal["unknown"]
    name: str
    data: JsonValue = None


def _unknown_unless(known: Any) -> BeforeValidator:
    """Return a validator that turns an event whose kind none of the classes `known` has into an UnknownEvent."""
    kinds = {get_args(event.model_fields["kind"].annotation)[0] for event in get_args(known) or [known]}

    def validate(event: Any) -> Any:
        if not isinstance(event, dict) or event.get("kind") in kinds or "name" in event:
            return event
        return {**event, "kind": "unknown", "name": str(event.get("kind"))}

    return BeforeValidator(validate)


_KnownJobEvents: TypeAlias = (
    StateEvent
    | ProgressEvent
    | EstimateEvent
    | PreviewEvent
    | WarningEvent
    | WorkerSilentEvent
    | LeaseLostEvent
    | CancelRequestedEvent
    | FinishRequestedEvent
    | AcknowledgedEvent
)
KnownJobEvent: TypeAlias = Annotated[_KnownJobEvents, Field(discriminator="kind")]
"""An event that the service of this version sends about a job."""
JobEvent: TypeAlias = Annotated[
    KnownJobEvent | UnknownEvent, Field(discriminator="kind"), _unknown_unless(_KnownJobEvents)
]
"""An event of a job's stream."""
QueueEvent: TypeAlias = Annotated[
    QueueChangedEvent | UnknownEvent, Field(discriminator="kind"), _unknown_unless(QueueChangedEvent)
]
"""An event of the queue's stream."""

JOB_EVENTS: Final[TypeAdapter[JobEvent]] = TypeAdapter(JobEvent)
QUEUE_EVENTS: Final[TypeAdapter[QueueEvent]] = TypeAdapter(QueueEvent)


_NOT_SILENT: Final = {"worker_silent_since": None, "lease_expires_at": None}


def changed_fields(status: JobStatus, event: JobEvent) -> dict[str, Any]:
    """Return the fields of the status that an event about its job changes."""
    match event:
        case StateEvent(data=change):
            position = status.queue_position if change.state == JobState.QUEUED else None
            eta = None if event.ends_job else status.eta_seconds
            return {"state": change.state, "queue_position": position, "eta_seconds": eta, **_NOT_SILENT}
        case ProgressEvent(data=report):
            metrics = status.metrics.model_copy(update={"steps_per_second": report.steps_per_second})
            return {
                "progress": report.progress,
                "losses": report.losses or status.losses,
                "metrics": metrics,
                **_NOT_SILENT,
            }
        case EstimateEvent(data=estimate):
            return {"queue_position": estimate.queue_position, "eta_seconds": estimate.eta_seconds}
        case WorkerSilentEvent(data=silence):
            return {"worker_silent_since": silence.since, "lease_expires_at": silence.lease_expires_at}
        case CancelRequestedEvent(data=request) | FinishRequestedEvent(data=request):
            return {f"{event.kind}_at": request.at}
        case _:
            return {}
