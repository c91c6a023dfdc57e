"""A job's images: previews, saved iterations, time-lapse and result; and the result's provenance."""

import hashlib

from flask import Blueprint, Response, request
from pydantic import Field

from api.context import Context
from api.http.download_errors import NotAcceptable
from api.http.file_responses import (
    IMMUTABLE,
    REVALIDATE,
    blob_response,
    file_operation,
    file_response,
    name_file,
    render_cached,
)
from api.http.operations import Query, ResponseDoc, operation
from api.http.own_jobs import find_job
from api.http.serializers import MIN_TIMELAPSE_PREVIEWS, job_url, json_response, to_datetime
from api.imaging.result_files import FORMATS, ResultFile, negotiate_format, result_key
from api.imaging.timelapse import animate, choose_frames
from easel import __version__
from easel.models import TERMINAL, Filmstrip, ImageFormat, Preview, SavedIteration, SavedIterationList
from shared import errors
from shared.jobs.filmstrip import StoredPreview
from shared.jobs.job import Job
from shared.storage import keys

routes = Blueprint("images", __name__)


class TimelapseQuery(Query):
    """How to serve the time-lapse."""

    download: bool = Field(default=False, description="Have browsers save it as a file.")


class ResultQuery(Query):
    """The file format of the result."""

    format: ImageFormat | None = Field(
        default=None,
        description="The file format, by default the one that the header `Accept` allows, PNG before others. PNG and "
        "TIFF are lossless.",
    )
    quality: int = Field(default=90, ge=1, le=100, description="Of a JPEG or WebP; other formats have none.")
    metadata: bool = Field(
        default=True, description="Write recipe, version and hashes of the inputs into the file. Nothing personal."
    )


@routes.get("/v1/jobs/<job_id>/preview")
@file_operation(ResponseDoc(200, "A small JPEG.", media="image/jpeg", headers=("ETag",)), errors=(errors.NotReady,))
def get_preview(job_id: str) -> Response:
    """Get the newest preview."""
    job = find_job(job_id)
    if job.preview is None:
        raise errors.NotReady("There is no preview yet. The first one comes after a few steps.")
    return blob_response(job.preview, "image/jpeg", cache=_cache_control(job))


@routes.get("/v1/jobs/<job_id>/previews")
@operation(ResponseDoc(200, "The previews.", Filmstrip))
def list_previews(job_id: str) -> Response:
    """List the previews by step. For a step that was repeated after a fault, only the later preview is listed."""
    job = find_job(job_id)
    previews = Context.current().services.filmstrip.previews(job.id)
    return json_response(Filmstrip(previews=[_preview(job.id, preview) for preview in previews]))


@routes.get("/v1/jobs/<job_id>/previews/<int:step>")
@file_operation(ResponseDoc(200, "A small JPEG.", media="image/jpeg", headers=("ETag",)), errors=(errors.NotFound,))
def get_preview_at(job_id: str, step: int) -> Response:
    """Get the preview after a step."""
    job = find_job(job_id)
    preview = Context.current().services.filmstrip.preview(job.id, step)
    if preview is None:
        raise errors.NotFound(f"There is no preview of step {step}. See the list of previews.")
    return blob_response(preview.key, "image/jpeg", cache=_cache_control(job))


@routes.get("/v1/jobs/<job_id>/iterations")
@operation(ResponseDoc(200, "The saved iterations.", SavedIterationList))
def list_iterations(job_id: str) -> Response:
    """List the images of every `save_every`-th step, at full size, by step."""
    saved = [
        SavedIteration(step=step, url=job_url(job_id, f"iterations/{step}"))
        for step in find_job(job_id).iterations.steps
    ]
    return json_response(SavedIterationList(iterations=saved))


@routes.get("/v1/jobs/<job_id>/iterations/<int:step>")
@file_operation(
    ResponseDoc(200, "PNG.", media="image/png", headers=("ETag", "Content-Disposition")),
    errors=(errors.NotFound,),
)
def get_iteration(job_id: str, step: int) -> Response:
    """Get the image after a step, at the size of its stage."""
    job = find_job(job_id)
    if step not in job.iterations.steps:
        raise errors.NotFound(f"The image of step {step} is not saved. See the list of iterations.")
    response = blob_response(job.iterations.key(job.id, step), "image/png", cache=_cache_control(job))
    name_file(response, job, f"-{step:04d}.png")
    return response


@routes.get("/v1/jobs/<job_id>/timelapse")
@file_operation(
    ResponseDoc(200, "Animated WebP.", media="image/webp", headers=("ETag", "Content-Disposition")),
    query=TimelapseQuery,
    errors=(errors.NotReady, errors.TooManyStreams, errors.ServerBusy),
)
def get_timelapse(job_id: str, query: TimelapseQuery) -> Response:
    """Get the previews as a looping video of a few seconds."""
    job = find_job(job_id)
    frames = choose_frames(Context.current().services.filmstrip.previews(job.id))
    if len(frames) < MIN_TIMELAPSE_PREVIEWS:
        raise errors.NotReady("A time-lapse needs two previews. Wait for the next one.")
    blob_keys = [frame.key for frame in frames]
    name = hashlib.sha256(" ".join((__version__, *blob_keys)).encode()).hexdigest()
    response = file_response(
        name, "image/webp", lambda: render_cached(name, blob_keys, animate), cache=_cache_control(job)
    )
    name_file(response, job, ".webp", disposition="attachment" if query.download else "inline")
    return response


@routes.get("/v1/jobs/<job_id>/result")
@file_operation(
    *(
        ResponseDoc(200, text, media=f"image/{name}", headers=("ETag", "Content-Disposition", "Vary"))
        for name, text in (
            ("png", "The result, with its color profile and the photo's transparency."),
            *((name, f"With `format={name}`.") for name in FORMATS[1:]),
        )
    ),
    query=ResultQuery,
    errors=(
        *(errors.NotReady, errors.WrongState, errors.ServerBusy, NotAcceptable),
        *(errors.ImageTooSlow, errors.ImageTooLarge, errors.BrokenImage),
    ),
)
def get_result(job_id: str, query: ResultQuery) -> Response:
    """Get the result.

    It is stored as a PNG. It is converted if `format` names another format, or if the header `Accept` does not allow
    PNG. Browsers accept both PNG and WebP and get the PNG.
    """
    return result_response(find_job(job_id), query)


def result_response(job: Job, query: ResultQuery, *, titled: bool = True) -> Response:
    """Return the result of a job, whose title names the file if `titled`.

    Raises NotReady, WrongState, NotAcceptable and the errors of a conversion.
    """
    image_format = query.format or negotiate_format(request.accept_mimetypes)
    file = ResultFile(result_key(job), image_format, query.quality, query.metadata)
    response = file_response(file.name, f"image/{image_format}", lambda: file.read(Context.current()), cache=IMMUTABLE)
    name_file(response, job, f".{image_format}", titled=titled)
    if query.format is None:
        response.vary.add("Accept")
    return response


@routes.get("/v1/jobs/<job_id>/provenance")
@file_operation(
    ResponseDoc(200, "Hashes of the inputs, recipe, seed, weights, versions, attempts.", media="application/json"),
    errors=(errors.NotReady, errors.WrongState),
)
def get_provenance(job_id: str) -> Response:
    """Get the provenance of the result: everything needed to reproduce it."""
    return blob_response(keys.provenance(result_key(find_job(job_id))), "application/json", cache=IMMUTABLE)


def _cache_control(job: Job) -> str:
    return IMMUTABLE if job.state in TERMINAL else REVALIDATE


def _preview(job_id: str, preview: StoredPreview) -> Preview:
    return Preview(step=preview.step, at=to_datetime(preview.at), url=job_url(job_id, f"previews/{preview.step}"))
