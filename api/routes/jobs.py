"""Jobs: get, list, cancel, finish early and delete."""

import hashlib
import json
from typing import Annotated, Final, Literal

from flask import Blueprint, Response, g, request
from itsdangerous import BadData, URLSafeSerializer
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, WithJsonSchema

from api.context import Context, parse_job_id, parse_uuid
from api.http.operations import Query, ResponseDoc, operation
from api.http.own_jobs import check_owner, find_job
from api.http.serializers import job_url, json_response, serialize_jobs, serialized_json_response
from api.live.long_poll import MAX_WAIT_SECONDS, read_snapshot, wait_for_event
from api.routes.audit import audit
from easel.models import TERMINAL, JobPage, JobState, JobStatus
from shared import errors
from shared.jobs.job import DEFAULT_TENANT, Job
from shared.jobs.metadata import Metadata
from shared.ledger.job_search import JobFilter
from shared.recovery import deletion
from shared.recovery.job_files import withdraw_control_request, write_control_request
from shared.services import Services

routes = Blueprint("jobs", __name__)


# Without the first check, pydantic takes the year 2026 for seconds since the epoch.
Rfc3339 = Annotated[AwareDatetime, BeforeValidator(lambda text: text if "T" in str(text).upper() else "")]


BatchId = Annotated[str, AfterValidator(parse_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]


class GetQuery(Query):
    """How to get a job."""

    wait: float = Field(
        default=0,
        ge=0,
        le=MAX_WAIT_SECONDS,
        allow_inf_nan=False,
        description="Seconds to wait for a change of the job. With `If-None-Match`: for a status with another ETag, "
        "else the response is 304. If the job has ended, the response is immediate.",
    )


_PAGE: Final = {"limit", "cursor"}


class ListQuery(Query):
    """Which jobs to list."""

    state: JobState | None = Field(default=None, description="Only jobs in this state.")
    preset: str | None = Field(default=None, max_length=40, description="The recipe's `preset`.")
    batch: BatchId | None = Field(default=None, description="The ID of their batch.")
    metadata: Metadata = Field(
        default={}, description="Only jobs with this value of a key, as in `metadata[order]=6735`; may be repeated."
    )
    created_after: Rfc3339 | None = Field(default=None, description="At or after this time.")
    created_before: Rfc3339 | None = Field(default=None, description="Before this time.")
    limit: int = Field(default=50, ge=1, le=200, description="Jobs on a page.")
    cursor: str | None = Field(default=None, max_length=500, description="`next_cursor` of the previous page.")


@routes.get("/v1/jobs/<job_id>")
@operation(
    ResponseDoc(200, "The job.", JobStatus, headers=("ETag",)),
    ResponseDoc(304, "No change while waiting."),
    query=GetQuery,
    headers={"If-None-Match": "The ETag of an earlier response; used together with `wait`."},
    errors=(errors.TooManyStreams, errors.ServerBusy),
)
def get_job(job_id: str, query: GetQuery) -> Response:
    """Get a job, now or after its next change."""
    context, job_id, etags = Context.current(), parse_job_id(job_id), request.if_none_match
    snapshot, text = read_snapshot(context, job_id)
    check_owner(job_id, snapshot.record.get("tenant", DEFAULT_TENANT))
    last = snapshot.last_event_id
    if query.wait and snapshot.record["state"] not in TERMINAL and (not etags or etags.contains_weak(last)):
        if wait_for_event(context, job_id, last, query.wait) == last and etags:
            return Response(status=304, headers={"ETag": f'W/"{last}"'})
        snapshot, text = read_snapshot(context, job_id)
    return serialized_json_response(text, ETag=f'W/"{snapshot.last_event_id}"')


@routes.get("/v1/jobs")
@operation(ResponseDoc(200, "A page of jobs.", JobPage), query=ListQuery, errors=(errors.InvalidCursor,))
def list_jobs(query: ListQuery) -> Response:
    """List jobs, newest first.

    A job is listed if it matches all filters. With `preset`, `batch` or `metadata` a page looks through at most 1,000
    jobs. So it may have fewer jobs than `limit`, or none, although there are more: the list ends where `next_cursor` is
    null.
    """
    context = Context.current()
    job_filter = JobFilter(tenant=g.caller.tenant, **query.model_dump(exclude=_PAGE))
    text = json.dumps(query.model_dump(mode="json", exclude=_PAGE), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    before = _parse_cursor(query.cursor, digest) if query.cursor else None
    page = context.services.job_search.page(job_filter, limit=query.limit, before=before)
    jobs = [*context.services.ledger.get_many(page.ids)]
    next_cursor = str(_cursor_signer().dumps([page.next_before, digest])) if page.next_before else None
    return json_response(JobPage(jobs=serialize_jobs(context, jobs), next_cursor=next_cursor))


@routes.post("/v1/jobs/<job_id>/cancel")
@operation(
    ResponseDoc(202, "Cancellation is requested; a queued job is canceled already.", JobStatus),
    errors=(errors.WrongState,),
)
def cancel_job(job_id: str) -> Response:
    """Cancel a job. Only its previews and saved iterations are kept."""
    return _controlled(find_job(job_id), "cancel")


@routes.post("/v1/jobs/<job_id>/finish")
@operation(ResponseDoc(202, "The early finish is requested.", JobStatus), errors=(errors.WrongState, errors.NotReady))
def finish_job(job_id: str) -> Response:
    """Finish a job early. Its best image so far becomes the result."""
    return _controlled(find_job(job_id), "finish")


@routes.delete("/v1/jobs/<job_id>")
@operation(ResponseDoc(204, "Deleted."), errors=(errors.WrongState,))
def delete_job(job_id: str) -> Response:
    """Delete a job that has ended, with its images.

    Its inputs are deleted within a day, unless other jobs use them.
    """
    job_id = parse_job_id(job_id)
    deletion.delete_job(Context.current().services, job_id, tenant=g.caller.tenant)
    audit("job.deleted", job=job_id)
    return Response(status=204)


def request_control(services: Services, job: Job, action: Literal["cancel", "finish"]) -> Job:
    """Store the request where it survives the loss of Redis, then set the flag in the ledger.

    Raises WrongState, NotReady.
    """
    possible = job.state not in TERMINAL and (action == "cancel" or job.progress.current >= 1)
    if possible:
        write_control_request(services.blobs, job.id, action)
    try:
        return services.ledger.request_control(job.id, action)
    except (errors.WrongState, errors.NotReady):
        if possible:
            withdraw_control_request(services.ledger, services.blobs, job.id)
        raise


def _controlled(job: Job, action: Literal["cancel", "finish"]) -> Response:
    job = request_control(Context.current().services, job, action)
    audit("job.canceled" if action == "cancel" else "job.finished", job=job.id)
    (status,) = serialize_jobs(Context.current(), [job])
    return json_response(status, 202, Location=job_url(job.id))


def _cursor_signer() -> URLSafeSerializer:
    """Return a signer whose key is the ledger's identity: cursors are valid only for the ledger that made them."""
    identity = Context.current().services.ledger.identity()
    if identity is None:
        raise errors.LedgerLost
    return URLSafeSerializer(identity, salt="cursor")


def _parse_cursor(cursor: str, digest: str) -> str:
    """Return the ID before which the next page begins. Raises InvalidCursor."""
    try:
        before, digest_before = _cursor_signer().loads(cursor)
    except BadData as error:
        raise errors.InvalidCursor("This cursor is invalid. Start again without one.") from error
    if digest_before != digest:
        raise errors.InvalidCursor("This cursor belongs to a list with other filters. Use the same ones.")
    return parse_job_id(before)
