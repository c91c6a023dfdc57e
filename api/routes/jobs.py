"""Jobs one by one and as a list: look, steer, delete."""

import time
from contextlib import closing
from typing import Literal

from flask import Blueprint, Response, request
from itsdangerous import BadData, URLSafeSerializer
from pydantic import BaseModel, Field

from api.context import Context, here, valid_id
from api.http.operations import Answer, Query, operation
from api.http.serializers import JobView, answer, job_url, json_answer, views
from api.routes.health import confirm_identity
from easel.models import TERMINAL, JobState
from shared import errors
from shared.jobs.job import Job
from shared.ledger.job_snapshot import JobSnapshot
from shared.recovery.job_files import forget, take_back_wish, write_wish

routes = Blueprint("jobs", __name__)


class GetQuery(Query):
    """How to look at one job."""

    wait: float = Field(
        default=0,
        ge=0,
        le=60,
        allow_inf_nan=False,
        description="Seconds to hold the answer until the job changes. With `If-None-Match`: until it differs from "
        "that ETag, else 304. A job that has ended is answered at once.",
    )


class ListQuery(Query):
    """Which jobs to list."""

    state: JobState | None = None
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="`next_cursor` of the page before.")


class JobList(BaseModel):
    """One page, newest first."""

    jobs: list[JobView]
    next_cursor: str | None = Field(description="Null on the last page.")


@routes.get("/v1/jobs/<job_id>")
@operation(
    Answer(200, "The job.", JobView, headers=("ETag",)),
    Answer(304, "Nothing changed while waiting."),
    query=GetQuery,
    headers={"If-None-Match": "The ETag of an earlier answer; heeded together with `wait`."},
    errors=(errors.TooManyStreams, errors.TooManyWatchers),
)
def get_job(job_id: str, query: GetQuery) -> Response:
    """Look at a job, or wait for its next change."""
    context, wanted, known = here(), valid_id(job_id), request.if_none_match
    sight, told = _look(context, wanted)
    last = sight.newest_event
    if query.wait and sight.record["state"] not in TERMINAL and (not known or known.contains_weak(last)):
        if _wait(context, wanted, last, query.wait) == last and known:
            return Response(status=304, headers={"ETag": f'W/"{last}"', "Cache-Control": "no-store"})
        sight, told = _look(context, wanted)
    return json_answer(told, ETag=f'W/"{sight.newest_event}"')


@routes.get("/v1/jobs")
@operation(Answer(200, "One page.", JobList), query=ListQuery, errors=(errors.InvalidCursor,))
def list_jobs(query: ListQuery) -> Response:
    """List jobs, newest first."""
    services = here().services
    before = _read_cursor(query) if query.cursor else None
    found = services.ledger.list(state=query.state, limit=query.limit + 1, before=before)
    page = found[: query.limit]
    following = _signer().dumps([page[-1].id, query.state]) if len(found) > len(page) else None
    return answer(JobList(jobs=views(here(), page), next_cursor=str(following) if following else None))


@routes.post("/v1/jobs/<job_id>/cancel")
@operation(Answer(202, "The wish stands; a waiting job is canceled already.", JobView), errors=(errors.WrongState,))
def cancel_job(job_id: str) -> Response:
    """Stop a job and keep nothing but its preview."""
    return _steer(_job(job_id), "cancel")


@routes.post("/v1/jobs/<job_id>/finish")
@operation(Answer(202, "The wish stands.", JobView), errors=(errors.WrongState, errors.NotReady))
def finish_job(job_id: str) -> Response:
    """Stop a job now and keep its best picture so far as the result."""
    return _steer(_job(job_id), "finish")


@routes.delete("/v1/jobs/<job_id>")
@operation(Answer(204, "Gone."), errors=(errors.WrongState,))
def delete_job(job_id: str) -> Response:
    """Delete a job that has ended, with its pictures, now.

    Its inputs go within a day, unless other jobs use them, too.
    """
    forget(here().services, valid_id(job_id))
    return Response(status=204)


def _job(text: str) -> Job:
    return here().services.ledger.get(valid_id(text))


def _look(context: Context, job: str) -> tuple[JobSnapshot, str]:
    return context.lookout.look(job, lambda ledger: confirm_identity(context, ledger))


def _wait(context: Context, job: str, last: str, seconds: float) -> str:
    """The newest event's id: another than `last`, or `last` again when the seconds are over."""
    leave = context.watchers.sit_down()
    deadline = time.monotonic() + seconds
    try:
        with closing(context.news.follow(job, last)) as batches:
            for news in batches:
                if news:
                    return news[-1].id
                if time.monotonic() >= deadline or context.stopping.is_set():
                    return last
    finally:
        leave()
    return last


def _steer(job: Job, wish: Literal["cancel", "finish"]) -> Response:
    """Write the wish where it survives the loss of Redis, then raise the flag."""
    services = here().services
    impossible = job.state in TERMINAL or (wish == "finish" and job.progress.current < 1)
    if not impossible:
        write_wish(services.blobs, job.id, wish)
    try:
        steered = services.ledger.request_control(job.id, wish)
    except (errors.WrongState, errors.NotReady):
        if not impossible:
            take_back_wish(services.ledger, services.blobs, job.id)
        raise
    (view,) = views(here(), [steered])
    return answer(view, 202, Location=job_url(job.id))


def _signer() -> URLSafeSerializer:
    """Cursors are signed with the ledger's identity: they hold only where they were made."""
    identity = here().services.ledger.identity()
    if identity is None:
        raise errors.LedgerLost
    return URLSafeSerializer(identity, salt="cursor")


def _read_cursor(query: ListQuery) -> str:
    try:
        before, state = _signer().loads(query.cursor or "")
    except BadData as error:
        raise errors.InvalidCursor("This cursor was not handed out here; start again without one.") from error
    if state != query.state:
        raise errors.InvalidCursor(f"This cursor belongs to a list of state={state or 'any'}; keep to it.")
    return valid_id(before)
