"""`POST /v1/jobs`: from the body to a record in the queue, top to bottom."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from typing import Any, Final, NamedTuple

import structlog
from flask import Blueprint, Response, g, request
from pydantic import Field
from uuid_utils import uuid7

from api.context import Context
from api.http.multipart import parse_form
from api.http.operations import Query, ResponseDoc, operation
from api.http.serializers import job_url, json_response, serialize_job, serialized_json_response, worker_silence
from api.http.submission import Submission, check_submission
from api.http.submission_json import parse_json_submission
from api.http.submission_openapi import BODY
from api.http.tracing import traceparent
from api.imaging.results import read_init_job
from api.live.long_poll import MAX_WAIT_SECONDS, preferred_wait, wait_for_end
from api.quotes import quote
from api.routes.audit import audit
from api.routes.uploaded_images import input_reader
from easel.models import JobState, JobStatus, Quote
from shared import errors, tracing
from shared.inputs.input_images import InputImage, check_flat_colors, positioned
from shared.inputs.sources import ImageId, ImageSource, ImageSources, ImageUrl
from shared.inputs.uploaded import store_input
from shared.jobs.admission import admit
from shared.jobs.job import InputSources, Job, JobRequest
from shared.presets import resolve
from shared.recipe import Recipe
from shared.recipe_inputs import check_inputs
from shared.recovery.job_files import write_request
from shared.services import Services
from shared.storage import keys
from shared.tenants.quotas import Quotas

routes = Blueprint("submit", __name__)
log = structlog.get_logger(__name__)


_HEADERS: Final = ("Location", "Idempotency-Replayed", "Preference-Applied")


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
    errors=(
        *(errors.MissingImage, errors.TooManyImages, errors.NotAnImage, errors.BrokenImage, errors.AnimatedImage),
        *(errors.ImageTooSlow, errors.ImageTooLarge, errors.ImageTooSmall, errors.InvalidRecipe, errors.UnknownTier),
        *(errors.BodyTooLarge, errors.UnsupportedMediaType, errors.IdempotencyKeyReused, errors.QueueFull),
        *(errors.DoesNotFit, errors.ServerBusy),
        *(errors.InvalidWebhook, errors.WebhooksDisabled, errors.InvalidMask, errors.InvalidShape),
        *(errors.TooManyQueuedJobs, errors.DailyQuotaExceeded, errors.StorageQuotaExceeded),
        *(errors.InvalidImageUrl, errors.QuoteOfUrls, errors.ImageNotFound, errors.InvalidJobId, errors.JobNotFound),
        *(errors.NotReady, errors.WrongState, errors.InvalidMetadata),
    ),
)
def submit(query: SubmitQuery) -> Response:
    """Submit a job.

    Images are rotated upright, converted to sRGB, or to Display P3 if they have colors that sRGB does not have, and
    stripped of all metadata before they are stored. The result has the photo's transparency.

    The body is a form or JSON (`JobSubmission`). The response has the job's position in the queue. Its `eta_seconds` is
    null while there is no recent forecast.
    """
    context = Context.current()
    accepted = _submit(context, dry_run=query.dry_run)
    return json_response(accepted) if isinstance(accepted, Quote) else _accepted(context, accepted)


class _Accepted(NamedTuple):
    """A job that the ledger has. `created` is false for that of an earlier submission."""

    job_id: str
    request: JobRequest
    created: bool


def _submit(context: Context, *, dry_run: bool) -> _Accepted | Quote:
    """Create the job, or return the quote. The images are in memory only until this returns."""
    services = context.services
    quotas = context.quotas.get(g.caller.tenant)
    submission = _parse(context)
    recipe = _recipe(submission)
    if not dry_run:
        _check_limits(services, submission, quotas)
    sources = _sources(services, submission)
    if sources.have_urls:
        if dry_run:
            raise errors.QuoteOfUrls
        images, fields = _stored_sources(context, sources)
    else:
        inputs = input_reader(context).read(sources, recipe)
        images, fields = inputs.all(), inputs.request_fields(recipe)
    request = _job_request(submission, recipe, fields)
    if dry_run:
        return quote(context, request)

    if existing := _find_existing(services, request):
        return _Accepted(existing, request, created=False)
    if not request.sources:
        admit(request, services.queue_stats.workers()).check()
    if quotas.stored_bytes:
        services.stored_bytes.add_inputs(request.tenant, services.blobs, images)
    _store(services, request, images)
    job_id, created = _create_record(services, request, quotas)
    tracing.annotate({tracing.JOB_ID: job_id})
    if created:
        # A failure of these is not an error: the reaper repeats them.
        if request.sources:
            services.dispatcher.fetch_inputs(job_id)
        else:
            services.dispatcher.wake(request.tier)
        audit("job.submitted", job=job_id)
        log.info("job_submitted", job=job_id, tier=request.tier, preset=recipe.preset)
    return _Accepted(job_id, request, created)


def _parse(context: Context) -> Submission:
    parts = parse_json_submission() if request.mimetype == "application/json" else parse_form()
    return check_submission(parts, context.settings)


def _recipe(submission: Submission) -> Recipe:
    images = submission.images
    init_image = bool(images.init_image or submission.init_job)
    recipe = resolve({**({"init": "image"} if init_image else {}), **submission.recipe})
    masks = len(images.styles) if images.content_masks else 0  # their number is checked when they are decoded
    check_inputs(recipe, styles=len(images.styles), masks=masks, init_image=init_image)
    return recipe


def _sources(services: Services, submission: Submission) -> ImageSources:
    """Return the images of the submission; with `init_job`, that job's result, which is copied to the inputs.

    Raises JobNotFound, NotReady or WrongState, with the name of the part.
    """
    if not submission.init_job:
        return submission.images
    result = BytesIO(read_init_job(services, submission.init_job))
    return replace(submission.images, init_image=result, init_field="init_job")


def _check_limits(services: Services, submission: Submission, quotas: Quotas) -> None:
    """Refuse the request before any work is done, unless it was accepted earlier.

    Raises QueueFull, TooManyQueuedJobs, StorageQuotaExceeded.
    """
    key, tenant = submission.idempotency_key, g.caller.tenant
    if key and services.ledger.find_by_idempotency_key(key, tenant):
        return
    count = services.queue_stats.count
    if count(JobState.QUEUED) >= services.settings.queue_limit:
        raise errors.QueueFull
    if quotas.queued_jobs and count(JobState.QUEUED, tenant) >= quotas.queued_jobs:
        raise errors.TooManyQueuedJobs
    services.stored_bytes.check(tenant, quotas.stored_bytes)


def _stored_sources(context: Context, sources: ImageSources) -> tuple[list[InputImage], dict[str, Any]]:
    """Return the images of a submission with URLs that were sent with it, and the fields of its request.

    The images are checked for their roles once the others are fetched.
    """
    reader, images = input_reader(context), list[InputImage]()

    def stored(source: ImageSource, position: dict[str, Any]) -> ImageSource:
        if isinstance(source, ImageUrl):
            return source
        with positioned(**position):
            images.append(reader.read_image(source))
            if position["field"] == "content_mask" and len(sources.styles) > len(sources.content_masks):
                check_flat_colors(images[-1])
        return ImageId(images[-1].sha256)

    every = sources.map(stored)
    fields = {
        "sources": InputSources(
            content=str(every.content),
            styles=tuple(map(str, every.styles)),
            style_masks=tuple(map(str, every.style_masks)),
            content_masks=tuple(map(str, every.content_masks)),
            init_image=str(every.init_image) if every.init_image else None,
        ),
        "content": "",
        "styles": ("",) * len(every.styles),
    }
    return images, fields


def _job_request(submission: Submission, recipe: Recipe, fields: dict[str, Any]) -> JobRequest:
    """Return the request with these fields, which depend on the images."""
    webhook = submission.webhook.model_dump(mode="json") if submission.webhook else None
    optional = [part for part in (webhook, submission.metadata) if part]
    text = json.dumps([*_hashes(fields), recipe.model_dump(mode="json"), submission.tier, *optional], sort_keys=True)
    job_id = uuid7()
    return JobRequest(
        id=str(job_id),
        tenant=g.caller.tenant,
        tier=submission.tier,
        recipe=recipe,
        created_at=job_id.timestamp / 1000,  # exactly: lists compare times with IDs
        idempotency_key=submission.idempotency_key,
        webhook=submission.webhook,
        metadata=submission.metadata,
        request_id=g.request_id,
        traceparent=traceparent(),
        digest=hashlib.sha256(text.encode()).hexdigest(),
        **fields,
    )


def _hashes(fields: dict[str, Any]) -> list[Any]:
    """Return what says which images a request has."""
    if sources := fields.get("sources"):
        return [sources.model_dump(mode="json")]
    init_image = [fields["init_image"]] if fields["init_image"] else []
    return [fields["content"], list(fields["styles"]), *init_image, *fields["content_masks"]]


def _find_existing(services: Services, request: JobRequest) -> str | None:
    """Return the ID of the job with the request's idempotency key. Raises IdempotencyKeyReused."""
    key = request.idempotency_key
    existing = services.ledger.find_by_idempotency_key(key, request.tenant) if key else None
    if existing is None:
        return None
    digest, job_id = existing
    if digest != request.digest:
        raise errors.IdempotencyKeyReused
    return job_id


def _store(services: Services, request: JobRequest, images: Iterable[InputImage]) -> None:
    """Store the inputs, then the request that names them."""
    for image in images:
        store_input(services.blobs, image)
    write_request(services.blobs, request)


def _create_record(services: Services, request: JobRequest, quotas: Quotas) -> tuple[str, bool]:
    """Create the record; delete the stored request if the ledger rejects it. Returns (ID, created)."""
    settings = services.settings
    try:
        job_id, created = services.ledger.submit(
            request,
            queue_limit=settings.queue_limit,
            remember_seconds=settings.idempotency_seconds,
            tenant_queue_limit=quotas.queued_jobs or 0,
            pixel_evaluations_per_day=quotas.pixel_evaluations_per_day or 0,
        )
    except errors.EaselError as error:
        # Without a reply, or while the ledger is being rebuilt, the record may exist: the request stays.
        uncertain = isinstance(error, (errors.LedgerUnavailable, errors.LedgerLost))
        if isinstance(error, errors.LedgerReadOnly) or not uncertain:
            services.blobs.delete(keys.request(request.id))
        raise
    if not created:
        services.blobs.delete(keys.request(request.id))
    return job_id, created


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
    forecast, services = context.eta.peek(), context.services
    try:
        job = services.ledger.get(job_id)
        position, (lease,) = services.queue_stats.position(job), services.queue_stats.leases([job])
        eta = forecast.eta(job, position) if forecast else None
        status = serialize_job(job, position, eta, worker_silence(job, lease, context.settings))
    except (errors.Unavailable, errors.JobNotFound):
        if not created:
            raise
        status = serialize_job(Job.new(request))  # the record exists, so the submission succeeded
    return json_response(status, 202, **headers)
