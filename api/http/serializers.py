"""Builds the models of easel/models, which define the API's JSON, from records of the ledger."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from flask import Response
from pydantic import BaseModel, Field

from api.context import Context
from api.eta.forecast import Forecast
from api.live.ttl_cache import TtlCache
from easel.events import WorkerSilence
from easel.models import TERMINAL, DurationRange, JobStatus, Metrics, Webhook
from shared.jobs.job import Job
from shared.ledger.job_snapshot import JobSnapshot
from shared.ledger.lease import Lease
from shared.settings import Settings

MIN_TIMELAPSE_PREVIEWS: Final = 2

_COPIED_FIELDS: Final = tuple(JobStatus.model_fields.keys() & Job.model_fields.keys())
"""Fields that the record has under the same name."""


class JobUrls(BaseModel):
    """Paths of the job's resources and actions; null while one is not available."""

    self: str = Field(description="The job.")
    events: str = Field(description="Its event stream.")
    content: str | None = Field(description="The photo. Null unless the images of the job have been fetched.")
    styles: list[str] = Field(description="The style images, in order; none unless they have been fetched.")
    content_masks: list[str] = Field(description="One for each style image, or none.")
    init_image: str | None = Field(description="The start image, if the job has one.")
    previews: str = Field(description="The list of previews.")
    preview: str | None = Field(description="The newest preview.")
    iterations: str | None = Field(description="Null while no iteration is saved.")
    timelapse: str | None = Field(description="Null while there are fewer than two previews.")
    result: str | None = Field(description="The result.")
    provenance: str | None = Field(description="Everything needed to reproduce the result.")
    cancel: str | None = Field(description="POST to cancel the job.")
    finish: str | None = Field(description="POST to finish the job early.")


def serialize_jobs(context: Context, jobs: list[Job], *, wait: bool = True) -> list[JobStatus]:
    """Return the jobs with positions and estimates, which are read from the ledger. Raises LedgerUnavailable.

    If it does not `wait` for a forecast, there are no estimates without a recent one.
    """
    if all(job.state in TERMINAL for job in jobs):
        return [serialize_job(job) for job in jobs]
    forecast, stats = context.eta.get() if wait else context.eta.peek(), context.services.queue_stats
    return [
        serialize_job(
            job,
            position,
            forecast.eta(job, position) if forecast else None,
            worker_silence(job, lease, context.settings),
        )
        for job, position, lease in zip(jobs, stats.positions(jobs), stats.leases(jobs), strict=True)
    ]


def serialize_snapshot(snapshot: JobSnapshot, eta: TtlCache[Forecast], settings: Settings) -> JobStatus:
    """Return the job of a snapshot. Raises JobNotFound, LedgerLost, LedgerUnavailable."""
    job, position = snapshot.job(), snapshot.position
    estimate = None if job.state in TERMINAL else eta.get().eta(job, position)
    return serialize_job(job, position, estimate, worker_silence(job, snapshot.lease, settings))


def worker_silence(job: Job, lease: Lease | None, settings: Settings) -> WorkerSilence:
    """Return since when the job's worker is silent, and until when its lease lasts."""
    since = lease.silent_since(job, settings.heartbeat_seconds) if lease else None
    if lease is None or since is None:
        return WorkerSilence()
    return WorkerSilence(since=to_datetime(since), lease_expires_at=to_datetime(lease.expires_at))


def serialize_job(
    job: Job, position: int | None = None, eta: DurationRange | None = None, silence: WorkerSilence | None = None
) -> JobStatus:
    """Return the job of a record."""
    silence = silence or WorkerSilence()
    return JobStatus(
        **{name: getattr(job, name) for name in _COPIED_FIELDS},
        tier=job.request.tier,
        recipe=job.request.recipe.model_dump(mode="json"),
        style_count=len(job.request.styles),
        created_at=to_datetime(job.request.created_at),
        metadata=job.request.metadata,
        batch=job.request.batch,
        queue_position=position,
        eta_seconds=eta,
        worker_silent_since=silence.since,
        lease_expires_at=silence.lease_expires_at,
        attempt=job.claims,
        webhook=_webhook(job),
        metrics=_metrics(job),
        urls=_urls(job),
    )


def json_response(model: BaseModel, status: int = 200, **headers: str) -> Response:
    """Return a model as JSON."""
    return serialized_json_response(model.model_dump_json(), status, **headers)


def serialized_json_response(text: str, status: int = 200, **headers: str) -> Response:
    """Like `json_response`, for a body that is already serialized."""
    return Response(text, status, headers, mimetype="application/json")


def job_url(job_id: str, part: str = "") -> str:
    """Return the path of a job, or of a resource of it."""
    return f"/v1/jobs/{job_id}" + (f"/{part}" if part else "")


def to_datetime(seconds: float) -> datetime:
    """Return a time of the ledger as a datetime in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def _webhook(job: Job) -> Webhook | None:
    target = job.request.webhook
    return Webhook(url=target.url, events=list(target.events), disabled=job.webhook_disabled) if target else None


def _metrics(job: Job) -> Metrics:
    until = job.started_at or job.completed_at or datetime.now(UTC).timestamp()
    return Metrics(
        queue_seconds=round(max(0.0, until - job.request.created_at), 3),
        run_seconds=round(job.run_seconds, 3),
        steps_per_second=job.steps_per_second,
    )


def _urls(job: Job) -> dict[str, Any]:
    active, has_images = job.state not in TERMINAL, job.request.sources is None
    available = {
        "content": has_images,
        "init_image": job.request.init_image is not None,
        "preview": job.preview is not None,
        "iterations": bool(job.iterations.root),
        "timelapse": job.previews >= MIN_TIMELAPSE_PREVIEWS,
        "result": job.result is not None,
        "provenance": job.result is not None,
        "cancel": active,
        "finish": active and job.progress.current >= 1,
    }
    styles = len(job.request.styles) if has_images else 0
    return _job_urls(job.id, styles, len(job.request.content_masks), *available.items())


@lru_cache(maxsize=4096)  # they rarely change between polls
def _job_urls(job_id: str, styles: int, masks: int, *available: tuple[str, bool]) -> dict[str, Any]:
    optional = {part: job_url(job_id, part) if exists else None for part, exists in available}
    always = {part: job_url(job_id, part) for part in ("events", "previews")}
    lists = {
        name: [job_url(job_id, f"{name}/{number}") for number in range(count)]
        for name, count in (("styles", styles), ("content_masks", masks))
    }
    return JobUrls.model_validate({"self": job_url(job_id), **lists, **always, **optional}).model_dump()
