"""`POST /v1/jobs`: from the body to a record in the queue, top to bottom."""

from contextlib import suppress
from typing import Final, NamedTuple

import structlog
from flask import Blueprint, Response, g, request
from pydantic import Field

from api.context import Context
from api.http.multipart import parse_form
from api.http.operations import Query, ResponseDoc, operation
from api.http.serializers import job_url, json_response, serialize_job, serialize_jobs, serialized_json_response
from api.http.submission import Submission, check_submission
from api.http.submission_json import parse_json_submission
from api.http.submission_openapi import BODY
from api.live.long_poll import MAX_WAIT_SECONDS, preferred_wait, wait_for_end
from api.quotes import quote
from api.routes.audit import audit
from api.routes.uploaded_images import input_reader
from api.submissions import (
    build_request,
    check_limits,
    create_records,
    find_existing,
    image_sources,
    notify_workers,
    resolve_recipe,
    store_images,
)
from easel.models import JobStatus, Quote
from shared import errors, tracing
from shared.jobs.admission import admit
from shared.jobs.job import Job, JobRequest
from shared.recovery.job_files import write_request

routes = Blueprint("submit", __name__)
log = structlog.get_logger(__name__)


_HEADERS: Final = ("Location", "Idempotency-Replayed", "Preference-Applied")


SUBMISSION_ERRORS: Final = (
    *(errors.MissingImage, errors.TooManyImages, errors.NotAnImage, errors.BrokenImage, errors.AnimatedImage),
    *(errors.ImageTooSlow, errors.ImageTooLarge, errors.ImageTooSmall, errors.InvalidRecipe, errors.UnknownTier),
    *(errors.BodyTooLarge, errors.UnsupportedMediaType, errors.IdempotencyKeyReused, errors.QueueFull),
    *(errors.DoesNotFit, errors.ServerBusy),
    *(errors.InvalidWebhook, errors.WebhooksDisabled, errors.InvalidMask, errors.InvalidShape),
    *(errors.TooManyQueuedJobs, errors.DailyQuotaExceeded, errors.StorageQuotaExceeded),
    *(errors.InvalidImageUrl, errors.ImageNotFound, errors.InvalidJobId, errors.JobNotFound),
    *(errors.NotReady, errors.WrongState, errors.InvalidMetadata),
)
"""Of a job, and of a batch of jobs."""


class SubmitQuery(Query):
    """How to submit."""

    dry_run: bool = Field(default=False, description="Return a quote and store nothing.")


@routes.post("/v1/jobs")
@operation(
    ResponseDoc(202, "The job is queued.", JobStatus, headers=_HEADERS),
    ResponseDoc(201, "The job has ended, with `Prefer: wait`.", JobStatus, headers=_HEADERS),
    ResponseDoc(200, "The quote, for a dry run.", Quote),
    query=SubmitQuery,
    body=BODY,
    headers={
        "Idempotency-Key": "The same key with the same request returns the same job, for 24 hours.",
        "Prefer": f"`wait=N`: respond when the job has ended, or after N seconds, at most {MAX_WAIT_SECONDS}.",
        "traceparent": "The job's spans continue this trace (W3C Trace Context).",
    },
    errors=(*SUBMISSION_ERRORS, errors.QuoteOfUrls),
)
def submit(query: SubmitQuery) -> Response:
    """Submit a job.

    Images are rotated upright, converted to sRGB, or to Display P3 if they have colors that sRGB does not have, and
    stripped of all metadata before they are stored. The result has the photo's transparency.

    The body is a form or JSON (`JobSubmission`). The response has the job's position in the queue. Its `eta_seconds` is
    null while there is no recent forecast.
    """
    context = Context.current()
    parts = parse_json_submission() if request.mimetype == "application/json" else parse_form()
    submission = check_submission(parts, context.settings)
    if query.dry_run:
        return json_response(_quote(context, submission))
    return _accepted(context, _submit(context, submission))


class _Accepted(NamedTuple):
    """A job that the ledger has. `created` is false for that of an earlier submission."""

    job_id: str
    request: JobRequest
    created: bool


def _quote(context: Context, submission: Submission) -> Quote:
    recipe, sources = resolve_recipe(submission), image_sources(context.services, submission)
    if sources.have_urls:
        raise errors.QuoteOfUrls
    request, _ = build_request(submission, recipe, sources, input_reader(context))
    return quote(context, request)


def _submit(context: Context, submission: Submission) -> _Accepted:
    """Create the job. The images are in memory only until this returns."""
    services, quotas = context.services, context.quotas.get(g.caller.tenant)
    recipe = resolve_recipe(submission)
    check_limits(services, submission.idempotency_key, quotas)
    request, images = build_request(submission, recipe, image_sources(services, submission), input_reader(context))
    if existing := find_existing(services, request):
        return _Accepted(existing, request, created=False)
    if not request.sources:
        admit(request, services.queue_stats.workers()).check()
    store_images(services, images, quotas)
    write_request(services.blobs, request)
    job_id, created = create_records(services, [request], quotas)
    tracing.annotate({tracing.JOB_ID: job_id})
    if created:
        audit("job.submitted", job=job_id)
        notify_workers(services, [request])
        log.info("job_submitted", job=job_id, tier=request.tier, preset=recipe.preset)
    return _Accepted(job_id, request, created)


def _accepted(context: Context, accepted: _Accepted) -> Response:
    """Return the 201 response with the ended job if the request waits for it, else the 202 response.

    The latter does not wait for a forecast.
    """
    job_id, request, created = accepted
    seconds, headers = preferred_wait(), {} if created else {"Idempotency-Replayed": "true"}
    headers |= {"Location": job_url(job_id)} | ({"Preference-Applied": f"wait={seconds}"} if seconds else {})
    if seconds:
        with suppress(errors.EaselError):  # the job is accepted: another response would make the client send it again
            if text := wait_for_end(context, job_id, seconds):
                return serialized_json_response(text, 201, **headers)
    try:
        (status,) = serialize_jobs(context, [context.services.ledger.get(job_id)], wait=False)
    except (errors.Unavailable, errors.JobNotFound):
        if not created:
            raise
        status = serialize_job(Job.new(request))  # the record exists, so the submission succeeded
    return json_response(status, 202, **headers)
