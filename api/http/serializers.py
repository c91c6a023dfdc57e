"""A job as clients see it."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from api.context import Context
from api.eta.forecast import Eta
from api.eta.service import Forecaster
from easel.models import TERMINAL, JobError, JobState, Losses, Progress
from shared.jobs.job import Job
from shared.ledger.job_snapshot import JobSnapshot
from shared.recipe import Recipe


class _View(BaseModel):
    # Every member is always sent, so the document may promise it.
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Metrics(_View):
    """Seconds and speed, as measured."""

    queue_seconds: float = Field(description="From submission to the first claim, or until now.")
    run_seconds: float = Field(description="Under a claim, over all attempts: loading, tracing and painting.")
    steps_per_second: float | None


class Urls(_View):
    """Where to go from here; null while there is nothing there."""

    self: str
    events: str
    content: str
    styles: list[str]
    previews: str
    preview: str | None
    timelapse: str | None = Field(description="Null while there are fewer than two previews.")
    result: str | None
    provenance: str | None
    cancel: str | None
    finish: str | None


class WebhookView(_View):
    """Whom the job tells."""

    url: str
    events: tuple[str, ...]
    disabled: bool = Field(description="Its receiver answered 410 Gone, and is told nothing more.")


class JobView(_View):
    """One job. Times are ISO 8601 in UTC."""

    id: str = Field(description="UUIDv7: sorts by time.", examples=["0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88"])
    state: JobState
    tier: str
    recipe: Recipe
    style_count: int
    created_at: datetime
    started_at: datetime | None = Field(description="The first claim by a worker.")
    completed_at: datetime | None
    cancel_requested_at: datetime | None
    finish_requested_at: datetime | None
    acknowledged_at: datetime | None = Field(description="When the loop stopped for a cancel or finish.")
    canceled_at: datetime | None = Field(description="When the device was free again.")
    queue_position: int | None = Field(description="1 for the next; null for a job that does not wait.")
    eta_seconds: Eta | None = Field(description="Until the job's end; null where nobody can know.")
    progress: Progress
    losses: Losses | None
    worker: str | None = Field(description="Who holds it now.")
    attempt: int = Field(description="Claims so far.")
    resumed_from_step: int | None
    stopped_early: bool
    stopped_at_step: int | None
    error: JobError | None
    webhook: WebhookView | None
    metrics: Metrics
    urls: Urls


FEWEST_STILLS: Final = 2
"""Of a time-lapse."""

_AS_IT_IS: Final = tuple(JobView.model_fields.keys() & Job.model_fields.keys())
"""What the record says in the same words."""


def views(context: Context, jobs: list[Job], *, fresh: bool = False) -> list[JobView]:
    """The jobs with their places in line and the time they will still take. Asks the ledger.

    `fresh` where one of the jobs has just come: a forecast of a moment ago does not know it.
    """
    if all(job.state in TERMINAL for job in jobs):
        return [job_view(job) for job in jobs]
    forecast, places = context.forecaster.now(fresh=fresh), context.services.queue_stats.positions(jobs)
    return [job_view(job, place, forecast.eta(job)) for job, place in zip(jobs, places, strict=True)]


def sight_view(sight: JobSnapshot, forecaster: Forecaster) -> JobView:
    """One look at a job as clients see it. Raises JobNotFound, LedgerLost."""
    job = sight.job()
    eta = None if job.state in TERMINAL else forecaster.now().eta(job)
    return job_view(job, sight.position, eta)


def job_view(job: Job, position: int | None = None, eta: Eta | None = None) -> JobView:
    """The record as clients see it."""
    return JobView(
        **{name: getattr(job, name) for name in _AS_IT_IS},
        tier=job.request.tier,
        recipe=job.request.recipe,
        style_count=len(job.request.styles),
        created_at=moment(job.request.created_at),
        queue_position=position,
        eta_seconds=eta,
        attempt=job.epoch,
        webhook=_webhook(job),
        metrics=_metrics(job),
        urls=_urls(job),
    )


def answer(view: BaseModel, status: int = 200, **headers: str) -> Response:
    """A model as JSON. Never to be cached: it may be another one in a second."""
    return json_answer(view.model_dump_json(), status, **headers)


def json_answer(text: str, status: int = 200, **headers: str) -> Response:
    """The same of what is JSON already."""
    response = Response(text, status, mimetype="application/json")
    for name, value in {"Cache-Control": "no-store", **headers}.items():
        response.headers.add(name, value)
    return response


def job_url(job_id: str, part: str = "") -> str:
    """The path of a job, or of one of its parts."""
    return f"/v1/jobs/{job_id}" + (f"/{part}" if part else "")


def moment(seconds: float) -> datetime:
    """A time of the ledger as the API writes it."""
    return datetime.fromtimestamp(seconds, UTC)


def _webhook(job: Job) -> WebhookView | None:
    hook = job.request.webhook
    return WebhookView(url=hook.url, events=hook.events, disabled=job.webhook_disabled) if hook else None


def _metrics(job: Job) -> Metrics:
    until = job.started_at or job.completed_at or datetime.now(UTC).timestamp()
    return Metrics(
        queue_seconds=round(max(0.0, until - job.request.created_at), 3),
        run_seconds=round(job.run_seconds, 3),
        steps_per_second=job.steps_per_second,
    )


def _urls(job: Job) -> Urls:
    goes_on = job.state not in TERMINAL
    there = {
        "preview": job.preview is not None,
        "timelapse": job.previews >= FEWEST_STILLS,
        "result": job.result is not None,
        "provenance": job.result is not None,
        "cancel": goes_on,
        "finish": goes_on and job.progress.current >= 1,
    }
    return _links(job.id, len(job.request.styles), *there.items())


@lru_cache(maxsize=4096)  # of one job they are the same from poll to poll
def _links(job_id: str, styles: int, *there: tuple[str, bool]) -> Urls:
    links = {part: job_url(job_id, part) if exists else None for part, exists in there}
    always = {part: job_url(job_id, part) for part in ("events", "content", "previews")}
    each = [job_url(job_id, f"styles/{number}") for number in range(styles)]
    return Urls.model_validate({"self": job_url(job_id), "styles": each, **always, **links})
