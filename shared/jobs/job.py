"""The job model, its states and legal transitions. No I/O."""

from typing import Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, computed_field

from easel.models import JobError, JobState, Losses, Progress
from shared.jobs.saved_iterations import SavedIterations
from shared.recipe import Recipe

TRANSITIONS: Final[dict[JobState, frozenset[JobState]]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELED, JobState.FAILED}),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELED: frozenset(),
}
"""Legal next states. The Lua scripts in shared/ledger/scripts enforce this table."""


DEFAULT_TENANT: Final = "default"
"""Whose job it is if requests have no tenant: without keys, with EASEL_API_KEYS, and in older records."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


WebhookEvent = Literal["job.started", "job.succeeded", "job.failed", "job.canceled"]
WEBHOOK_EVENTS: Final[tuple[str, ...]] = get_args(WebhookEvent)
"""Events that webhooks can subscribe to. A job has the first at most once, then one of the others."""
WEBHOOK_RETRY_SECONDS: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Delay after each failed delivery attempt: three days in all, as Standard Webhooks proposes."""


class WebhookTarget(_Frozen):
    """The URL that a job's events are sent to."""

    url: str
    events: tuple[str, ...]  # of WEBHOOK_EVENTS


class InputSources(_Frozen):
    """Where a job's images come from: each is `sha256:...` of one that is stored, or a URL."""

    content: str
    styles: tuple[str, ...]
    style_masks: tuple[str, ...] = ()
    content_masks: tuple[str, ...] = ()
    init_image: str | None = None


class JobRequest(_Frozen):
    """A submission as accepted: `jobs/<id>/request.json`, written once and never changed.

    If images are to be fetched, `sources` says from where, and the fields about images are empty. Once they are
    fetched, the record and `jobs/<id>/inputs.json` have the complete request.
    """

    id: str  # UUIDv7: sorts by time
    tenant: str = DEFAULT_TENANT  # who submitted it, and alone can see it
    batch: str | None = None  # ID of the batch that it was submitted with; its jobs have the same key and digest
    tier: str
    recipe: Recipe
    sources: InputSources | None = None  # of images that are to be fetched
    content: str  # sha256 of the upright RGB input, key `inputs/<sha256>`
    styles: tuple[str, ...]
    init_image: str | None = None  # sha256 of the start image, for the init `image`
    content_masks: tuple[str, ...] = ()  # sha256 of one mask for each style, or none
    width: int = 0  # pixels of the content image, for estimates; 0 if unknown
    height: int = 0
    style_pixels: tuple[int, ...] = ()  # of each style image, and the start image, as uploaded; for estimates
    peak_memory_bytes: int = 0  # predicted at submission; 0 if unknown, which fits every worker
    peak_gpu_memory_bytes: int = 0  # the same for GPU memory, on a worker with a GPU
    created_at: float  # seconds since the epoch, as are all times here
    idempotency_key: str | None = None
    webhook: WebhookTarget | None = None
    metadata: dict[str, str] = {}  # the client's own; never in logs or metrics
    request_id: str | None = None  # X-Request-Id of the submission, for log lines; not in the digest
    traceparent: str | None = None  # W3C Trace Context: the parent of the job's spans
    digest: str  # of the whole request or batch, with inputs by hash: equal requests have equal digests


class Job(_Frozen):
    """One record of the ledger, as read."""

    id: str
    state: JobState
    waiting_for: Literal["inputs"] | None = None  # a queued job that is in no queue: its images are being fetched
    request: JobRequest
    order: int  # start tag, its score in the tier's queue: lower goes first (shared/ledger/scripts/fair_share.lua)
    peak_memory_bytes: int = 0  # copies of the request's fields, which claim.lua can read
    peak_gpu_memory_bytes: int = 0
    progress: Progress
    losses: Losses | None = None
    started_at: float | None = None  # first claim
    completed_at: float | None = None
    cancel_requested_at: float | None = None
    finish_requested_at: float | None = None
    acknowledged_at: float | None = None  # the loop stopped for a control request, at step `stopped_at_step`
    canceled_at: float | None = None  # the device was free again

    claim: str | None = None  # fencing token of the current holder
    last_claim: str | None = None  # token of the previous holder, if it lost its lease
    claims: int = 0  # how often it was claimed
    leases_lost: int = 0  # since the last new checkpoint
    memory_failures: int = 0  # times a device ran out of memory
    step_backoffs: int = 0  # times the step was halved after a loss that was not finite or exploded
    worker: str | None = None  # holder of the claim
    lease_seconds: float | None = None  # of each renewal under the last claim
    resumed_from_step: int | None = None
    run_seconds: float = 0.0  # in the loop, over all claims
    steps_per_second: float | None = None
    fraction_per_second: float | None = None  # of the job's arithmetic, in the loop, under the last claim

    checkpoint: str | None = None  # blob key, as are the next three; only blobs named here are visible
    previous_checkpoint: str | None = None
    preview: str | None = None
    previews: int = 0  # number of previews in the filmstrip (shared/jobs/filmstrip.py)
    iterations: SavedIterations = SavedIterations()
    result: str | None = None
    stopped_early: bool = False
    stopped_at_step: int | None = None
    error: JobError | None = None
    webhook_disabled: bool = False  # the receiver responded 410 Gone

    @classmethod
    def new(cls, request: JobRequest) -> Self:
        """Return a job as it is submitted, behind all others."""
        progress = Progress(total=request.recipe.total_steps)
        waiting_for: Literal["inputs"] | None = "inputs" if request.sources else None
        return cls(
            id=request.id,
            state=JobState.QUEUED,
            waiting_for=waiting_for,
            request=request,
            order=2**53,
            progress=progress,
        )

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own advice
    @property
    def tenant(self) -> str:
        """Who submitted the job. Scripts read the record's field `tenant`, a copy that older records do not have.

        The final record has it, too, since the request is deleted first.
        """
        return self.request.tenant
