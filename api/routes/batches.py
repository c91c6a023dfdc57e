"""Batches: many jobs that are submitted, shown, canceled and deleted together."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog
from flask import Blueprint, Response, g, request
from pydantic import Field
from uuid_utils import uuid7

from api.context import Context
from api.http.batch_serializer import batch_url, serialize_batch
from api.http.download_errors import NotAcceptable
from api.http.file_responses import REVALIDATE, file_operation, file_response
from api.http.operations import Query, ResponseDoc, operation
from api.http.own_jobs import find_batch
from api.http.serializers import json_response
from api.http.submission import Submission, check_submission, idempotency_key
from api.http.submission_batch import naming_job, parse_batch
from api.imaging.result_files import FORMATS, ResultFile, negotiate_format
from api.routes.audit import audit
from api.routes.jobs import request_control
from api.routes.submit import SUBMISSION_ERRORS
from api.routes.uploaded_images import storing_reader, uploaded_images
from api.submissions import (
    build_request,
    check_limits,
    create_records,
    find_existing,
    image_sources,
    new_id,
    notify_workers,
    resolve_recipe,
    store_images,
)
from easel.models import TERMINAL, BatchStatus, ImageFormat
from shared import errors
from shared.inputs.input_images import InputImage
from shared.jobs.admission import admit
from shared.jobs.batch import SheetAttempts, contact_sheet_key
from shared.jobs.job import Job, JobRequest
from shared.parallel import for_each
from shared.recovery import deletion
from shared.recovery.job_files import write_batch, write_request
from shared.services import Services
from shared.tenants.quotas import Quotas

routes = Blueprint("batches", __name__)
log = structlog.get_logger(__name__)

_JOBS_SECONDS: Final = 5
_SHEET_SECONDS: Final = 2
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/BatchSubmission"}}},
}


class SheetQuery(Query):
    """The file format of the contact sheet."""

    format: ImageFormat | None = Field(
        default=None, description="The file format, by default the one that the header `Accept` allows, PNG first."
    )
    quality: int = Field(default=90, ge=1, le=100, description="Of a JPEG or WebP; other formats have none.")


@routes.post("/v1/batches")
@operation(
    ResponseDoc(202, "All jobs are queued.", BatchStatus, headers=("Location", "Idempotency-Replayed")),
    body=_BODY,
    headers={"Idempotency-Key": "The same key with the same request returns the same batch, for 24 hours."},
    errors=SUBMISSION_ERRORS,
)
def post_batch() -> Response:
    """Submit a batch of 1 to 200 jobs.

    All jobs are created, or none: quotas and limits count all of them together, and an error names the job that it is
    about, as in `jobs[3].recipe.size`, and as the member `job` of the problem.

    The body is `BatchSubmission`. Images are IDs of `POST /v1/images`, https URLs, or base64: at most 32 different
    files. Each job is a job like any other: it has its own place in the queue, events, webhooks and result.
    """
    if request.mimetype != "application/json":
        raise errors.UnsupportedMediaType("Send application/json. Upload images with POST /v1/images.")
    context = Context.current()
    batch_id, requests, created = _submit(context, idempotency_key())
    headers = {"Location": batch_url(batch_id)} | ({} if created else {"Idempotency-Replayed": "true"})
    try:
        status = serialize_batch(context, batch_id, find_batch(batch_id), context.eta.peek())
    except (errors.Unavailable, errors.BatchNotFound):
        if not created:
            raise
        jobs = list(map(Job.new, requests))  # the records exist, so the submission succeeded
        status = serialize_batch(context, batch_id, jobs, None)
    return json_response(status, 202, **headers)


@routes.get("/v1/batches/<batch_id>")
@operation(ResponseDoc(200, "The batch.", BatchStatus))
def get_batch(batch_id: str) -> Response:
    """Get a batch: the number of jobs in each state, and their progress as a whole.

    `GET /v1/jobs?batch=ID` lists its jobs.
    """
    return _status(batch_id.lower(), find_batch(batch_id))


@routes.post("/v1/batches/<batch_id>/cancel")
@operation(ResponseDoc(202, "All jobs that had not ended are canceled, or will be at their next step.", BatchStatus))
def cancel_batch(batch_id: str) -> Response:
    """Cancel all jobs of a batch. Those that have ended stay as they are."""
    services = Context.current().services

    def cancel(job: Job) -> None:
        with suppress(errors.WrongState, errors.JobNotFound):  # it has ended, or was deleted, meanwhile
            request_control(services, job, "cancel")

    active = [job for job in find_batch(batch_id) if job.state not in TERMINAL]
    for_each(reversed(active), cancel)  # so that workers start few that are canceled next
    audit("batch.canceled", batch=batch_id.lower())
    return _status(batch_id.lower(), find_batch(batch_id), 202)


@routes.get("/v1/batches/<batch_id>/contact-sheet")
@file_operation(
    *(ResponseDoc(200, "The sheet.", media=f"image/{name}", headers=("ETag", "Vary")) for name in FORMATS),
    query=SheetQuery,
    errors=(
        *(errors.NotReady, errors.WrongState, errors.ContactSheetFailed, errors.ServerBusy, NotAcceptable),
        *(errors.ImageTooSlow, errors.ImageTooLarge, errors.BrokenImage),
    ),
)
def get_contact_sheet(batch_id: str, query: SheetQuery) -> Response:
    """Get all results of a batch in one picture, each with what sets it apart below.

    It is made when the last job has ended, and again when a job was deleted. Until it is there the response is 409
    `not_ready`, and Retry-After says when to ask again; if it cannot be made, 409 `contact_sheet_failed`. Jobs without
    a result are shown as empty pictures.
    """
    jobs = find_batch(batch_id)
    key = _contact_sheet(batch_id.lower(), jobs)
    form = query.format or negotiate_format(request.accept_mimetypes)
    file = ResultFile(key, form, query.quality, metadata=False)
    response = file_response(file.name, f"image/{form}", lambda: file.read(Context.current()), cache=REVALIDATE)
    if query.format is None:
        response.vary.add("Accept")
    return response


@routes.delete("/v1/batches/<batch_id>")
@operation(ResponseDoc(204, "Deleted."), errors=(errors.WrongState,))
def delete_batch(batch_id: str) -> Response:
    """Delete a batch whose jobs have all ended, with its jobs and their images."""
    jobs = find_batch(batch_id)
    deletion.delete_batch(Context.current().services, batch_id.lower(), [job.id for job in jobs])
    audit("batch.deleted", batch=batch_id.lower())
    return Response(status=204)


def _contact_sheet(batch_id: str, jobs: Sequence[Job]) -> str:
    """Return the key of the sheet. Raises NotReady, after having it made if need be; WrongState without any result.

    Raises ContactSheetFailed, too.
    """
    services = Context.current().services
    if left := sum(job.state not in TERMINAL for job in jobs):
        detail = f"The contact sheet is made when all jobs have ended, and {left} of {len(jobs)} have not."
        raise errors.NotReady(detail, retry_after_seconds=_JOBS_SECONDS)
    key = contact_sheet_key(batch_id, jobs)
    if key is None:
        raise errors.WrongState("No job of the batch has a result, so there is nothing to show.")
    if not services.blobs.exists(key):
        if error := SheetAttempts.read(services.blobs, key).error:
            raise errors.ContactSheetFailed(error)
        if services.contact_sheets.request(batch_id):
            services.dispatcher.make_contact_sheet(batch_id)
        raise errors.NotReady("The contact sheet is being made.", retry_after_seconds=_SHEET_SECONDS)
    return key


def _status(batch_id: str, jobs: Sequence[Job], status: int = 200) -> Response:
    context = Context.current()
    forecast = None if all(job.state in TERMINAL for job in jobs) else context.eta.get()
    return json_response(serialize_batch(context, batch_id, jobs, forecast), status)


def _submit(context: Context, key: str | None) -> tuple[str, list[JobRequest], bool]:
    """Create all jobs, or none; return the batch's ID, the requests, and whether it is new.

    The file of the batch is written after the requests of its jobs: if this process ends before, none of them can be
    rebuilt, and after that all of them.
    """
    services, quotas = context.services, context.quotas.get(g.caller.tenant)
    submissions = list[Submission]()
    for number, parts in enumerate(parse_batch()):
        with naming_job(number):
            submissions.append(check_submission(parts, context.settings))
    check_limits(services, key, quotas, jobs=len(submissions))
    if key and services.ledger.find_by_idempotency_key(key, g.caller.tenant):  # what was sent is stored, or refused
        requests = _build_requests(context, submissions, lambda _: None)
        if existing := find_existing(services, requests[0]):
            return existing, requests, False
    requests = _build_requests(context, submissions, partial(_store, context, quotas))
    if existing := find_existing(services, requests[0]):
        return existing, requests, False
    _check_memory(services, requests)
    for one in requests:
        write_request(services.blobs, one)
    write_batch(services.blobs, str(requests[0].batch), [one.id for one in requests])
    batch_id, created = create_records(services, requests, quotas)
    if created:
        audit("batch.submitted", batch=batch_id)
        notify_workers(services, requests)
        log.info("batch_submitted", batch=batch_id, jobs=len(requests))
    return batch_id, requests, created


def _store(context: Context, quotas: Quotas, images: Sequence[InputImage]) -> None:
    """Store images, and have them count for the quota even if the batch is refused."""
    store_images(context.services, images, quotas)
    for image in images:
        uploaded_images(context).count(image)


def _build_requests(
    context: Context, submissions: Sequence[Submission], store: Callable[[Sequence[InputImage]], None]
) -> list[JobRequest]:
    """Return the requests, whose images were given to `store`."""
    services = context.services
    reader = storing_reader(context, store)
    recipes, requests = [], []
    for number, submission in enumerate(submissions):
        with naming_job(number):
            recipes.append(resolve_recipe(submission))
    for number, (submission, recipe) in enumerate(zip(submissions, recipes, strict=True)):
        with naming_job(number):
            requests.append(build_request(submission, recipe, image_sources(services, submission), reader)[0])
    text = " ".join(["batch", *(one.digest for one in requests)])
    common = {"batch": str(uuid7()), "digest": hashlib.sha256(text.encode()).hexdigest()}
    return [one.model_copy(update={**common, **new_id()}) for one in requests]  # IDs sort as the jobs were sent


def _check_memory(services: Services, requests: Sequence[JobRequest]) -> None:
    workers = services.queue_stats.workers()
    for number, one in enumerate(requests):
        if not one.sources:
            with naming_job(number):
                admit(one, workers).check()
