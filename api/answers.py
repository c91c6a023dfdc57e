"""What the service says, as its clients see it: jobs, quotes, events and errors. Tolerant of fields that come later."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import httpx2
from pydantic import BaseModel, ConfigDict, RootModel

from shared.job import TERMINAL, JobError, JobState, Losses, Progress

_GATEWAY_STATUS: Final = frozenset({502, 503, 504})
"""A proxy says these while the service behind it restarts."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Range(_Answer):
    """Seconds: half of all such jobs take at most `p50`, nine in ten at most `p90`."""

    p50: float
    p90: float


class Metrics(_Answer):
    """Where a job's time went, in seconds, and how fast its last worker was."""

    queue_seconds: float | None = None
    run_seconds: float | None = None
    steps_per_second: float | None = None


class Job(_Answer):
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
    attempt: int | None = None
    resumed_from_step: int | None = None
    stopped_early: bool = False
    error: JobError | None = None
    metrics: Metrics = Metrics()
    urls: dict[str, str | None] = {}

    @property
    def ended(self) -> bool:
        """Whether the state is final: succeeded, failed or canceled."""
        return self.state in TERMINAL


class JobPage(_Answer):
    """One page of `GET /v1/jobs`, newest first; `next_cursor` is None on the last one."""

    jobs: list[Job]
    next_cursor: str | None = None


class Quote(_Answer):
    """The predicted cost of a job on one worker, waiting not counted; sizes in pixels."""

    seconds: float
    peak_memory_bytes: int
    width: int
    height: int
    fits: bool = True  # into the memory of a worker that lives now, as far as anybody knows
    fitting_size: int | None = None  # where it does not: the largest that would, if any


class Document(RootModel[dict[str, Any]]):
    """A JSON object that is handed on as it is."""


@dataclass(frozen=True)
class Event:
    """One line of a job's story. `kind` is state, progress, preview, warning, lease_lost, ..."""

    id: str
    kind: str
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def ends_job(self) -> bool:
        """Whether this is the last event that the job will ever have."""
        return self.kind == "state" and self.data.get("state") in TERMINAL


class ApiError(Exception):
    """The service refused. `code` is stable, `detail` a sentence for a person that names the fix.

    `status` is the HTTP status, 0 where the request never left. `retryable` says that the same request
    may succeed later, after `retry_after` seconds where the service named a time. `extra` holds the
    further members of the problem (RFC 9457, section 3.2), such as `errors` of an `invalid_recipe`.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        status: int = 0,
        retryable: bool = False,
        retry_after: float = 0.0,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{detail} [{code}]")
        self.detail, self.code, self.status = detail, code, status
        self.retryable, self.retry_after, self.extra = retryable, retry_after, extra or {}


class Unreachable(ApiError):
    """No answer at all, or one that broke off; `sent` is False where the request surely was not carried out."""

    def __init__(self, url: str, reason: str, *, sent: bool) -> None:
        super().__init__(
            f"Easel at {url} does not answer ({reason}); is `make up` running, and is EASEL_URL right?",
            code="unreachable",
            retryable=True,
        )
        self.sent = sent


def refusal(response: httpx2.Response) -> ApiError:
    """The error that a response of 400 and above stands for, whether or not it is a problem+json."""
    status = response.status_code
    try:
        parsed = response.json()
    except ValueError:
        parsed = None
    body: dict[str, Any] = dict(parsed) if isinstance(parsed, dict) else {}
    asked = response.headers.get("retry-after", "")
    return ApiError(
        str(body.pop("detail", None) or f"The server answered {status} and no reason; is EASEL_URL right?"),
        code=str(body.pop("code", f"http_{status}")),
        status=status,
        retryable=bool(body.pop("retryable", status in _GATEWAY_STATUS)),
        retry_after=float(asked) if asked.isdecimal() else 0.0,  # the date form is not used here
        extra={name: value for name, value in body.items() if name not in {"type", "title", "status"}},
    )
