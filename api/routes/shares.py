"""Share links: anyone who has one can see the picture, without a key, until the link expires."""

import time
from typing import Final

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, ConfigDict, Field

from api.context import Context
from api.http.callers import Caller
from api.http.file_responses import blob_response, file_operation, name_file
from api.http.json_body import json_body, parse_model
from api.http.operations import Query, ResponseDoc, operation
from api.http.own_jobs import find_job
from api.http.serializers import json_response, to_datetime
from api.http.share_links import find_shared_job, share_path
from api.imaging.result_files import FORMATS, result_key
from api.routes.audit import audit
from api.routes.images import ResultQuery, result_response
from easel.models import ImageFormat, ShareLink
from shared import errors
from shared.jobs.job import Job

routes = Blueprint("shares", __name__)

_DAY: Final = 24 * 3600
_PREVIEW: Final = "preview.jpeg"
_FORMATS: Final = {f"result.{name}": name for name in FORMATS}


class NewShareLink(BaseModel):
    """What to share, and for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expires_in: int = Field(default=_DAY, ge=60, le=7 * _DAY, description="Seconds until the link expires.")
    format: ImageFormat = Field(default="png", description="The file format of the result.")


class SharedQuery(Query):
    """The parts of a link. Others, such as trackers append to links, are ignored."""

    model_config = ConfigDict(extra="ignore")

    expires: int = Field(default=0, ge=0, le=2**32, description="When the link expires, in seconds since the epoch.")
    key: str | None = Field(default=None, max_length=64, description="The prefix of the key that made the link.")
    signature: str = Field(default="", max_length=64, description="A part of the link.")


@routes.post("/v1/jobs/<job_id>/share")
@operation(
    ResponseDoc(201, "The link.", ShareLink),
    body=json_body(NewShareLink, required=False),
    errors=(errors.NotReady, errors.WrongState, errors.UnsupportedMediaType, errors.BodyTooLarge),
    scope="read",
)
def share_job(job_id: str) -> Response:
    """Make a link to the result that needs no key.

    It ends when it expires, when the job is deleted, and when the key that made it is revoked or expires.
    """
    job = find_job(job_id)
    new = parse_model(NewShareLink, example='{"expires_in": 3600}') if request.mimetype else NewShareLink()
    result_key(job)
    expires, public = int(time.time()) + new.expires_in, Context.current().settings.absolute_url
    link = ShareLink(
        url=public(share_path(job, f"result.{new.format}", expires)),
        preview_url=public(share_path(job, _PREVIEW, expires)) if job.preview else None,
        expires_at=to_datetime(expires),
    )
    audit("job.shared", job=job.id)
    return json_response(link, 201)


@routes.get("/v1/shared/<job_id>/<picture>")
@file_operation(
    *(
        ResponseDoc(200, "The picture.", media=f"image/{name}", headers=("ETag", "Content-Disposition"))
        for name in FORMATS
    ),
    query=SharedQuery,
    errors=(
        *(errors.InvalidShareLink, errors.ShareLinkExpired, errors.NotReady, errors.WrongState),
        *(errors.ServerBusy, errors.ImageTooSlow, errors.ImageTooLarge, errors.BrokenImage),
    ),
)
def get_shared(job_id: str, picture: str, query: SharedQuery) -> Response:
    """Get the picture of a share link. It needs no key. The file does not say how it was made, nor the title."""
    job = find_shared_job(job_id, picture, **query.model_dump())
    g.caller = Caller("share links")  # together one client, so that they cannot hold all decoders
    response = _picture(job, picture)
    response.headers["Cache-Control"] = f"private, max-age={max(0, query.expires - int(time.time()))}"
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # pages of other sites may show it
    return response


def _picture(job: Job, picture: str) -> Response:
    if picture in _FORMATS:
        return result_response(job, ResultQuery(format=_FORMATS[picture], metadata=False), titled=False)
    if picture != _PREVIEW or job.preview is None:
        raise errors.InvalidShareLink  # made by another version, or Redis lost the preview
    response = blob_response(job.preview, "image/jpeg", cache="")
    name_file(response, job, "-preview.jpeg", titled=False)
    return response
