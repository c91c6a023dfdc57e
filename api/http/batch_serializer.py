"""The status of a batch, made from the records of its jobs."""

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, Field

from api.context import Context
from api.eta.forecast import Forecast
from api.http.serializers import to_datetime
from easel.models import TERMINAL, BatchCounts, BatchStatus, DurationRange, JobError
from shared.errors import ContactSheetFailed, StorageUnavailable
from shared.jobs.batch import SheetAttempts, contact_sheet_key
from shared.jobs.estimate import pixel_evaluations
from shared.jobs.job import Job
from shared.ledger.job_search import id_time


class BatchUrls(BaseModel):
    """Paths of the batch's resources and actions; null while one is not available."""

    self: str = Field(description="The batch.")
    jobs: str = Field(description="The list of its jobs, newest first.")
    cancel: str | None = Field(description="POST to cancel all jobs that have not ended.")
    contact_sheet: str | None = Field(description="All results in one picture; null until all jobs have ended.")


def batch_url(batch_id: str, part: str = "") -> str:
    """Return the path of a batch, or of a resource of it."""
    return f"/v1/batches/{batch_id}" + (f"/{part}" if part else "")


def serialize_batch(context: Context, batch_id: str, jobs: Sequence[Job], forecast: Forecast | None) -> BatchStatus:
    """Return the status of a batch with at least one job. Raises Unavailable."""
    active = [job for job in jobs if job.state not in TERMINAL]
    ends = [job.completed_at or 0.0 for job in jobs]
    sheet_key = None if active else contact_sheet_key(batch_id, jobs)
    urls = BatchUrls(
        self=batch_url(batch_id),
        jobs=f"/v1/jobs?batch={batch_id}",
        cancel=batch_url(batch_id, "cancel") if active else None,
        contact_sheet=batch_url(batch_id, "contact-sheet") if sheet_key else None,
    )
    return BatchStatus(
        id=batch_id,
        created_at=id_time(batch_id),
        completed_at=None if active else to_datetime(max(ends)),
        counts=BatchCounts(**Counter(str(job.state) for job in jobs)),
        progress=_progress(jobs),
        eta_seconds=_eta(context, active, forecast) if active and forecast else None,
        contact_sheet_error=_sheet_error(context, sheet_key) if sheet_key else None,
        jobs=[job.id for job in jobs],
        urls=urls.model_dump(),
    )


def _sheet_error(context: Context, sheet_key: str) -> JobError | None:
    """Return None, too, while the store is away: the status does not need it, and a request for the sheet says so."""
    blobs = context.services.blobs
    try:
        error = SheetAttempts.read(blobs, sheet_key).error
        if not error or blobs.exists(sheet_key):  # a process stored it although another one had failed
            return None
    except StorageUnavailable:
        return None
    return JobError(code=ContactSheetFailed.code, detail=error)


def _progress(jobs: Sequence[Job]) -> float:
    """Return the share of the arithmetic that is done. Photos that are not fetched yet count as squares."""
    weights = [pixel_evaluations(job.request.recipe, job.request.width or 1, job.request.height or 1) for job in jobs]
    done = [1.0 if job.state in TERMINAL else job.progress.percentage / 100 for job in jobs]
    return round(sum(w * share for w, share in zip(weights, done, strict=True)) / sum(weights), 4)


def _eta(context: Context, active: list[Job], forecast: Forecast) -> DurationRange | None:
    """Return when the last job is expected to end; None if that is unknown of any."""
    positions = context.services.queue_stats.positions(active)
    ranges = [forecast.eta(job, position) for job, position in zip(active, positions, strict=True)]
    known = [eta for eta in ranges if eta]
    if len(known) < len(ranges):
        return None
    return DurationRange(p50=max(eta.p50 for eta in known), p90=max(eta.p90 for eta in known))
