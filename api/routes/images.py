"""A job's images: inputs, previews, saved iterations, time-lapse and result; and the result's provenance."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from flask import Blueprint, Response, request
from pydantic import Field

from api.context import Context, parse_job_id
from api.http.limits import render_slot
from api.http.operations import Query, ResponseDoc, operation
from api.http.serializers import MIN_TIMELAPSE_PREVIEWS, job_url, json_response, to_datetime
from api.imaging.formats import convert
from api.imaging.metadata import Origin
from api.imaging.results import result_key
from api.imaging.timelapse import animate, choose_frames
from easel import __version__
from easel.models import TERMINAL, Filmstrip, ImageFormat, Preview, SavedIteration, SavedIterationList
from shared import errors, images
from shared.jobs.filmstrip import StoredPreview
from shared.jobs.job import Job
from shared.storage import keys

routes = Blueprint("images", __name__)

_REVALIDATE: Final = "private, no-cache"
_IMMUTABLE: Final = "private, max-age=31536000, immutable"
_NOT_MODIFIED: Final = 304


class InputQuery(Query):
    """The size of an input image."""

    longest: int | None = Field(
        default=None, ge=32, le=2048, description="Return a JPEG whose longest side has at most this many pixels."
    )


class TimelapseQuery(Query):
    """How to serve the time-lapse."""

    download: bool = Field(default=False, description="Have browsers save it as a file.")


class ResultQuery(Query):
    """The file format of the result."""

    format: ImageFormat = Field(default="png", description="The file format; PNG and TIFF are lossless.")
    quality: int = Field(default=90, ge=1, le=100, description="Of a JPEG or WebP.")
    metadata: bool = Field(
        default=True, description="Write recipe, version and hashes of the inputs into the file. Nothing personal."
    )


_INPUT: Final = (
    ResponseDoc(
        200,
        "The stored image: PNG, upright, sRGB; a photo keeps its transparency.",
        media="image/png",
        headers=("ETag",),
    ),
    ResponseDoc(200, "With `longest`: a JPEG.", media="image/jpeg", headers=("ETag",)),
)


@routes.get("/v1/jobs/<job_id>/content")
@operation(*_INPUT, query=InputQuery, errors=(errors.TooManyStreams, errors.ServerBusy))
def get_content(job_id: str, query: InputQuery) -> Response:
    """Get the photo."""
    return _input_response(_get(job_id).request.content, query.longest)


@routes.get("/v1/jobs/<job_id>/styles/<int:number>")
@operation(*_INPUT, query=InputQuery, errors=(errors.NotFound, errors.TooManyStreams, errors.ServerBusy))
def get_style(job_id: str, number: int, query: InputQuery) -> Response:
    """Get a style image; the first has number 0."""
    styles = _get(job_id).request.styles
    if number >= len(styles):
        raise errors.NotFound(f"The job has {len(styles)} style images. The first has number 0.")
    return _input_response(styles[number], query.longest)


@routes.get("/v1/jobs/<job_id>/content_masks/<int:number>")
@operation(*_INPUT, query=InputQuery, errors=(errors.NotFound, errors.TooManyStreams, errors.ServerBusy))
def get_content_mask(job_id: str, number: int, query: InputQuery) -> Response:
    """Get the mask of a style image; the first has number 0. It is gray, with the photo's size."""
    masks = _get(job_id).request.content_masks
    if number >= len(masks):
        raise errors.NotFound(f"The job has {len(masks)} masks. The first has number 0.")
    return _input_response(masks[number], query.longest)


@routes.get("/v1/jobs/<job_id>/init_image")
@operation(*_INPUT, query=InputQuery, errors=(errors.NotFound, errors.TooManyStreams, errors.ServerBusy))
def get_init_image(job_id: str, query: InputQuery) -> Response:
    """Get the start image, if one was sent, or taken from another job."""
    init_image = _get(job_id).request.init_image
    if init_image is None:
        raise errors.NotFound("The job has no start image. Its recipe's init says what it starts from.")
    return _input_response(init_image, query.longest)


@routes.get("/v1/jobs/<job_id>/preview")
@operation(ResponseDoc(200, "A small JPEG.", media="image/jpeg", headers=("ETag",)), errors=(errors.NotReady,))
def get_preview(job_id: str) -> Response:
    """Get the newest preview."""
    job = _get(job_id)
    if job.preview is None:
        raise errors.NotReady("There is no preview yet. The first one comes after a few steps.")
    return _blob_response(job.preview, "image/jpeg", cache=_cache_control(job))


@routes.get("/v1/jobs/<job_id>/previews")
@operation(ResponseDoc(200, "The previews.", Filmstrip))
def list_previews(job_id: str) -> Response:
    """List the previews by step. For a step that was repeated after a fault, only the later preview is listed."""
    job = _get(job_id)
    previews = Context.current().services.filmstrip.previews(job.id)
    return json_response(Filmstrip(previews=[_preview(job.id, preview) for preview in previews]))


@routes.get("/v1/jobs/<job_id>/previews/<int:step>")
@operation(ResponseDoc(200, "A small JPEG.", media="image/jpeg", headers=("ETag",)), errors=(errors.NotFound,))
def get_preview_at(job_id: str, step: int) -> Response:
    """Get the preview after a step."""
    job = _get(job_id)
    preview = Context.current().services.filmstrip.preview(job.id, step)
    if preview is None:
        raise errors.NotFound(f"There is no preview of step {step}. See the list of previews.")
    return _blob_response(preview.key, "image/jpeg", cache=_cache_control(job))


@routes.get("/v1/jobs/<job_id>/iterations")
@operation(ResponseDoc(200, "The saved iterations.", SavedIterationList))
def list_iterations(job_id: str) -> Response:
    """List the images of every `save_every`-th step, at full size, by step."""
    saved = [
        SavedIteration(step=step, url=job_url(job_id, f"iterations/{step}")) for step in _get(job_id).iterations.steps
    ]
    return json_response(SavedIterationList(iterations=saved))


@routes.get("/v1/jobs/<job_id>/iterations/<int:step>")
@operation(
    ResponseDoc(200, "PNG, sRGB.", media="image/png", headers=("ETag", "Content-Disposition")),
    errors=(errors.NotFound,),
)
def get_iteration(job_id: str, step: int) -> Response:
    """Get the image after a step, at the size of its stage."""
    job = _get(job_id)
    if step not in job.iterations.steps:
        raise errors.NotFound(f"The image of step {step} is not saved. See the list of iterations.")
    response = _blob_response(job.iterations.key(job.id, step), "image/png", cache=_cache_control(job))
    response.headers["Content-Disposition"] = f'inline; filename="easel-{job.id}-{step:04d}.png"'
    return response


@routes.get("/v1/jobs/<job_id>/timelapse")
@operation(
    ResponseDoc(200, "Animated WebP.", media="image/webp", headers=("ETag", "Content-Disposition")),
    query=TimelapseQuery,
    errors=(errors.NotReady, errors.TooManyStreams, errors.ServerBusy),
)
def get_timelapse(job_id: str, query: TimelapseQuery) -> Response:
    """Get the previews as a looping video of a few seconds."""
    job = _get(job_id)
    frames = choose_frames(Context.current().services.filmstrip.previews(job.id))
    if len(frames) < MIN_TIMELAPSE_PREVIEWS:
        raise errors.NotReady("A time-lapse needs two previews. Wait for the next one.")
    blob_keys = [frame.key for frame in frames]
    name = hashlib.sha256(" ".join((__version__, *blob_keys)).encode()).hexdigest()
    response = _conditional_response(name, "image/webp", cache=_cache_control(job))
    if response.status_code != _NOT_MODIFIED:
        response.set_data(_render(name, blob_keys, animate))
        disposition = "attachment" if query.download else "inline"
        response.headers["Content-Disposition"] = f'{disposition}; filename="easel-{job.id}.webp"'
    return response


@routes.get("/v1/jobs/<job_id>/result")
@operation(
    *(
        ResponseDoc(200, text, media=f"image/{name}", headers=("ETag", "Content-Disposition"))
        for name, text in (
            ("png", "The result, sRGB, with the photo's transparency."),
            *((name, f"With `format={name}`.") for name in ("jpeg", "webp", "tiff")),
        )
    ),
    query=ResultQuery,
    errors=(errors.NotReady, errors.WrongState, errors.TooManyStreams, errors.ServerBusy),
)
def get_result(job_id: str, query: ResultQuery) -> Response:
    """Get the result."""
    job, form = _get(job_id), query.format
    key = result_key(job)
    name = f"{key}-{query.quality}{'' if query.metadata else '-bare'}.{form}"
    response = _conditional_response(name, f"image/{form}", cache=_IMMUTABLE)
    if response.status_code != _NOT_MODIFIED:
        blobs = Context.current().services.blobs
        origin = Origin(blobs.get(keys.provenance(key))) if query.metadata else None
        if form == "png":
            response.set_data(origin.add_to_png(blobs.get(key)) if origin else blobs.get(key))
        else:
            xmp = origin.xmp() if origin else None
            response.set_data(_render(name, [key], lambda files: convert(files[0], form, query.quality, xmp=xmp)))
    response.headers["Content-Disposition"] = f'inline; filename="easel-{job.id}.{form}"'
    return response


@routes.get("/v1/jobs/<job_id>/provenance")
@operation(
    ResponseDoc(200, "Hashes of the inputs, recipe, seed, weights, versions, attempts.", media="application/json"),
    errors=(errors.NotReady, errors.WrongState),
)
def get_provenance(job_id: str) -> Response:
    """Get the provenance of the result: everything needed to reproduce it."""
    return _blob_response(keys.provenance(result_key(_get(job_id))), "application/json", cache=_IMMUTABLE)


def _get(job_id: str) -> Job:
    return Context.current().services.ledger.get(parse_job_id(job_id))


def _cache_control(job: Job) -> str:
    return _IMMUTABLE if job.state in TERMINAL else _REVALIDATE


def _preview(job_id: str, preview: StoredPreview) -> Preview:
    return Preview(step=preview.step, at=to_datetime(preview.at), url=job_url(job_id, f"previews/{preview.step}"))


def _input_response(sha256: str, longest: int | None) -> Response:
    key = keys.input_image(sha256)
    if longest is None:
        return _blob_response(key, "image/png", cache=_IMMUTABLE)
    name = f"{key}-{longest}"
    response = _conditional_response(name, "image/jpeg", cache=_IMMUTABLE)
    if response.status_code != _NOT_MODIFIED:
        response.set_data(_render(name, [key], lambda files: _thumbnail(files[0], longest)))
    return response


def _render(name: str, blob_keys: Sequence[str], render: Callable[[Sequence[bytes]], bytes]) -> bytes:
    """Return `render` of the blobs, cached under `name`.

    Rendering takes up to seconds of CPU, so it counts as a stream. A request may wait for others that render, and then
    find its file in the cache. Blobs are read only after that, so waiting requests hold none in memory.
    """
    context = Context.current()
    if cached := context.thumbnails.get(name):
        return cached
    with context.stream_limits.hold(), render_slot():
        if cached := context.thumbnails.get(name):
            return cached
        return context.thumbnails.put(name, render([context.services.blobs.get(key) for key in blob_keys]))


def _thumbnail(png: bytes, longest: int) -> bytes:
    return images.encode_jpeg(images.decode(png, max_pixels=images.MAX_SIDE**2), longest=longest)


def _blob_response(key: str, media_type: str, *, cache: str) -> Response:
    """Return a blob as a response. Its key has a hash or the claim's token, so it always names the same bytes."""
    response = _conditional_response(key, media_type, cache=cache)
    if response.status_code != _NOT_MODIFIED:
        response.set_data(Context.current().services.blobs.get(key))
    return response


def _conditional_response(name: str, media_type: str, *, cache: str) -> Response:
    """Return a response without a body, with an ETag made from `name`; 304 if the client has that version."""
    response = Response(mimetype=media_type, headers={"Cache-Control": cache})
    response.set_etag(name.replace("/", "-"))
    response.make_conditional(request)
    return response
