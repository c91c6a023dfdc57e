"""From valid submissions to requests that are stored and have records: what single jobs and batches share."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flask import g
from uuid_utils import uuid7

from api.http.own_jobs import find_job
from api.http.submission import Submission
from api.http.tracing import traceparent
from api.imaging.result_files import result_key
from easel.models import JobState
from shared import errors
from shared.inputs.input_images import InputImage, check_flat_colors, positioned
from shared.inputs.reader import InputReader
from shared.inputs.sources import ImageId, ImageSource, ImageSources, ImageUrl
from shared.inputs.uploaded import store_input
from shared.jobs.job import InputSources, JobRequest
from shared.presets import resolve
from shared.recipe import Recipe
from shared.recipe_inputs import check_inputs
from shared.services import Services
from shared.storage import keys
from shared.tenants.quotas import Quotas


def check_limits(services: Services, idempotency_key: str | None, quotas: Quotas, *, jobs: int = 1) -> None:
    """Refuse the request before any work is done, unless it was accepted earlier.

    Raises QueueFull, TooManyQueuedJobs, StorageQuotaExceeded.
    """
    tenant = g.caller.tenant
    if idempotency_key and services.ledger.find_by_idempotency_key(idempotency_key, tenant):
        return
    count = services.queue_stats.count
    if count(JobState.QUEUED) + jobs > services.settings.queue_limit:
        raise errors.QueueFull
    if quotas.queued_jobs and count(JobState.QUEUED, tenant) + jobs > quotas.queued_jobs:
        raise errors.TooManyQueuedJobs
    services.stored_bytes.check(tenant, quotas.stored_bytes)


def resolve_recipe(submission: Submission) -> Recipe:
    """Return the recipe, checked with the number of images. Raises InvalidRecipe."""
    images = submission.images
    init_image = bool(images.init_image or submission.init_job)
    recipe = resolve({**({"init": "image"} if init_image else {}), **submission.recipe})
    masks = len(images.styles) if images.content_masks else 0  # their number is checked when they are decoded
    check_inputs(recipe, styles=len(images.styles), masks=masks, init_image=init_image)
    return recipe


@dataclass(frozen=True)
class _InitJob:
    """The result of a job as a start image. It is copied to the inputs."""

    services: Services = field(compare=False)
    job_id: str

    def read(self) -> bytes:
        """Return the PNG. Raises InvalidJobId, JobNotFound, NotReady or WrongState, with the name of the field."""
        try:
            return self.services.blobs.get(result_key(find_job(self.job_id)))
        except errors.BlobMissing as error:
            raise errors.JobNotFound(f"There is no job {self.job_id}; it was deleted.", field="init_job") from error
        except (errors.InvalidJobId, errors.NotFound, errors.NotReady, errors.WrongState) as error:
            error.extra |= {"field": "init_job"}
            raise


def image_sources(services: Services, submission: Submission) -> ImageSources:
    """Return the images of the submission; with `init_job`, that job's result is one of them."""
    if not submission.init_job:
        return submission.images
    return replace(submission.images, init_image=_InitJob(services, submission.init_job), init_field="init_job")


def build_request(
    submission: Submission, recipe: Recipe, sources: ImageSources, reader: InputReader
) -> tuple[JobRequest, list[InputImage]]:
    """Read the images that were sent; return the request, and what is to be stored before it."""
    if sources.have_urls:
        images, fields = _stored_sources(reader, sources)
    else:
        inputs = reader.read(sources, recipe)
        images, fields = inputs.all(), inputs.request_fields(recipe)
    return _job_request(submission, recipe, fields), images


def store_images(services: Services, images: Sequence[InputImage], quotas: Quotas) -> None:
    """Store images of the caller, which count for its quota. Raises StorageQuotaExceeded."""
    services.stored_bytes.check(g.caller.tenant, quotas.stored_bytes)
    if quotas.stored_bytes:
        services.stored_bytes.add_inputs(g.caller.tenant, services.blobs, images)
    for image in images:
        store_input(services.blobs, image)


def _stored_sources(reader: InputReader, sources: ImageSources) -> tuple[list[InputImage], dict[str, Any]]:
    """Return the images of a submission with URLs that were sent with it, and the fields of its request.

    The images are checked for their roles once the others are fetched.
    """
    images = list[InputImage]()

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
    return JobRequest(
        **new_id(),
        tenant=g.caller.tenant,
        tier=submission.tier,
        recipe=recipe,
        idempotency_key=submission.idempotency_key,
        webhook=submission.webhook,
        metadata=submission.metadata,
        request_id=g.request_id,
        traceparent=traceparent(),
        digest=hashlib.sha256(text.encode()).hexdigest(),
        **fields,
    )


def new_id() -> dict[str, Any]:
    """Return ID and time of a request. The time is that of the ID, exactly: lists compare times with IDs."""
    job_id = uuid7()
    return {"id": str(job_id), "created_at": job_id.timestamp / 1000}


def _hashes(fields: dict[str, Any]) -> list[Any]:
    """Return what says which images a request has."""
    if sources := fields.get("sources"):
        return [sources.model_dump(mode="json")]
    init_image = [fields["init_image"]] if fields["init_image"] else []
    return [fields["content"], list(fields["styles"]), *init_image, *fields["content_masks"]]


def find_existing(services: Services, request: JobRequest) -> str | None:
    """Return the ID of the job or batch with the request's idempotency key. Raises IdempotencyKeyReused."""
    key = request.idempotency_key
    existing = services.ledger.find_by_idempotency_key(key, request.tenant) if key else None
    if existing is None:
        return None
    digest, created_id = existing
    if digest != request.digest:
        raise errors.IdempotencyKeyReused
    return created_id


def create_records(services: Services, requests: Sequence[JobRequest], quotas: Quotas) -> tuple[str, bool]:
    """Create the record of a stored request, or all records of a batch. Returns (ID, created).

    Deletes what was stored if the ledger rejects it.
    """
    settings = services.settings
    try:
        created_id, created = services.ledger.submit(
            *requests,
            queue_limit=settings.queue_limit,
            remember_seconds=settings.idempotency_seconds,
            tenant_queue_limit=quotas.queued_jobs or 0,
            pixel_evaluations_per_day=quotas.pixel_evaluations_per_day or 0,
        )
    except errors.EaselError as error:
        # Without a reply, or while the ledger is being rebuilt, the records may exist: the requests stay.
        uncertain = isinstance(error, (errors.LedgerUnavailable, errors.LedgerLost))
        if isinstance(error, errors.LedgerReadOnly) or not uncertain:
            _delete_requests(services, requests)
        raise
    if not created:
        _delete_requests(services, requests)
    return created_id, created


def _delete_requests(services: Services, requests: Iterable[JobRequest]) -> None:
    """Delete what was stored; of a batch first the file without which none of its jobs is rebuilt."""
    batches = {request.batch for request in requests if request.batch}
    for key in (*map(keys.batch, batches), *(keys.request(request.id) for request in requests)):
        services.blobs.delete(key)


def notify_workers(services: Services, requests: Sequence[JobRequest]) -> None:
    """Have the images of new jobs fetched, and wake workers for the others.

    Ends at the first message that cannot be sent, which takes seconds: the jobs exist, and the reaper sends it again.
    """
    for request in requests:
        if request.sources and not services.dispatcher.fetch_inputs(request.id):
            return
    tiers = Counter(request.tier for request in requests if not request.sources)
    if len(requests) > 1:  # a message for each job of a large batch would wake the same workers
        try:
            workers = services.queue_stats.workers()
        except errors.Unavailable:
            return
        tiers = Counter({tier: min(n, sum(tier in one.tiers for one in workers)) for tier, n in tiers.items()})
    for tier in tiers.elements():
        if not services.dispatcher.wake(tier):
            return
