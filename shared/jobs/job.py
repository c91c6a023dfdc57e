"""What a job is, the states it can be in, and the one table of legal transitions. Pure."""

from typing import Final, Literal, get_args

from pydantic import BaseModel, ConfigDict

from easel.models import JobError, JobState, Losses, Progress
from shared.recipe import Recipe

TRANSITIONS: Final[dict[JobState, frozenset[JobState]]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELED, JobState.FAILED}),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELED: frozenset(),
}
"""The table that the Lua acts in shared/ledger/scripts are tested against."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


WebhookEvent = Literal["job.started", "job.succeeded", "job.failed", "job.canceled"]
EVENTS: Final[tuple[str, ...]] = get_args(WebhookEvent)
"""Of which webhooks are told, as they happen: a job has the first at most once, then one of the others."""
PAUSES: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds after the first, second ... try to tell of one that failed: three days, as Standard Webhooks proposes."""


class Webhook(_Frozen):
    """Whom to tell what happens to a job."""

    url: str
    events: tuple[str, ...]  # of EVENTS


class Request(_Frozen):
    """What was asked for: `jobs/<id>/request.json`, written once and never changed."""

    id: str  # UUIDv7: sorts by time
    tier: str
    recipe: Recipe
    content: str  # sha256 of the upright RGB input, key `inputs/<sha256>`
    styles: tuple[str, ...]
    width: int = 0  # pixels of the content image, for estimates; 0 where unknown
    height: int = 0
    style_pixels: tuple[int, ...] = ()  # of each style as it was uploaded; for the same
    peak_memory_bytes: int = 0  # predicted when it was submitted; 0 where unknown, and then it fits everywhere
    peak_gpu_memory_bytes: int = 0  # the same, of the GPU's memory on a worker that has one
    created_at: float  # seconds since the epoch, as are all times here
    idempotency_key: str | None = None
    webhook: Webhook | None = None
    digest: str  # of all that was asked for, the inputs by their hashes: equal requests have equal digests


class Job(_Frozen):
    """One record of the ledger, as readers see it."""

    id: str
    state: JobState
    request: Request
    order: int  # place in the tier's sorted set: lower goes first
    peak_memory_bytes: int = 0  # both are the request's, where claim.lua can read them
    peak_gpu_memory_bytes: int = 0
    progress: Progress
    losses: Losses | None = None
    started_at: float | None = None  # first claim
    completed_at: float | None = None
    cancel_requested_at: float | None = None
    finish_requested_at: float | None = None
    acknowledged_at: float | None = None  # the loop stopped for it, at step `stopped_at_step`
    canceled_at: float | None = None  # and the device was free again

    claim: str | None = None  # the fencing token of the present holder
    last_claim: str | None = None  # of the holder before, where it lost its lease
    epoch: int = 0  # counts claims
    attempts: int = 0  # lease losses since the last new checkpoint
    memory_failures: int = 0  # times a device ran out of memory
    step_backoffs: int = 0  # times the step was halved since a loss was not finite or exploded
    worker: str | None = None  # who holds the claim
    resumed_from_step: int | None = None
    run_seconds: float = 0.0  # in the loop, over all claims
    steps_per_second: float | None = None
    pace: float | None = None  # share of its arithmetic that a second in the loop does, under the last claim

    checkpoint: str | None = None  # blob keys; only what stands here is visible
    previous_checkpoint: str | None = None
    preview: str | None = None
    previews: int = 0  # in the filmstrip (shared/jobs/filmstrip.py)
    result: str | None = None
    stopped_early: bool = False
    stopped_at_step: int | None = None
    error: JobError | None = None
    webhook_disabled: bool = False  # its receiver answered that it is gone
