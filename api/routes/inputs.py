"""A job's inputs, as they are stored."""

from collections.abc import Sequence
from typing import Final

from flask import Blueprint, Response
from pydantic import Field

from api.http.file_responses import IMMUTABLE, blob_response, file_operation, file_response, render_cached
from api.http.operations import Query, ResponseDoc
from api.http.own_jobs import find_job
from shared import errors
from shared.imaging import encoding, images
from shared.storage import keys

routes = Blueprint("inputs", __name__)


class InputQuery(Query):
    """The size of an input image."""

    longest: int | None = Field(
        default=None, ge=32, le=2048, description="Return a JPEG whose longest side has at most this many pixels."
    )


_INPUT: Final = (
    ResponseDoc(
        200,
        "The stored image: PNG, upright, sRGB or Display P3, with its transparency.",
        media="image/png",
        headers=("ETag",),
    ),
    ResponseDoc(200, "With `longest`: a JPEG.", media="image/jpeg", headers=("ETag",)),
)


@routes.get("/v1/jobs/<job_id>/content")
@file_operation(*_INPUT, query=InputQuery, errors=(errors.NotReady, errors.TooManyStreams, errors.ServerBusy))
def get_content(job_id: str, query: InputQuery) -> Response:
    """Get the photo."""
    return _input_response(find_job(job_id).request.content, query.longest)


@routes.get("/v1/jobs/<job_id>/styles/<int:number>")
@file_operation(
    *_INPUT, query=InputQuery, errors=(errors.NotFound, errors.NotReady, errors.TooManyStreams, errors.ServerBusy)
)
def get_style(job_id: str, number: int, query: InputQuery) -> Response:
    """Get a style image; the first has number 0."""
    return _numbered_response(find_job(job_id).request.styles, "style images", number, query.longest)


@routes.get("/v1/jobs/<job_id>/content_masks/<int:number>")
@file_operation(
    *_INPUT, query=InputQuery, errors=(errors.NotFound, errors.NotReady, errors.TooManyStreams, errors.ServerBusy)
)
def get_content_mask(job_id: str, number: int, query: InputQuery) -> Response:
    """Get the mask of a style image; the first has number 0. It is gray, with the photo's size."""
    return _numbered_response(find_job(job_id).request.content_masks, "masks", number, query.longest)


@routes.get("/v1/jobs/<job_id>/init_image")
@file_operation(
    *_INPUT, query=InputQuery, errors=(errors.NotFound, errors.NotReady, errors.TooManyStreams, errors.ServerBusy)
)
def get_init_image(job_id: str, query: InputQuery) -> Response:
    """Get the start image, if one was sent, or taken from another job."""
    init_image = find_job(job_id).request.init_image
    if init_image is None:
        raise errors.NotFound("The job has no start image. Its recipe's init says what it starts from.")
    return _input_response(init_image, query.longest)


def _numbered_response(hashes: Sequence[str], name: str, number: int, longest: int | None) -> Response:
    if number >= len(hashes):
        raise errors.NotFound(f"The job has {len(hashes)} {name}. The first has number 0.")
    return _input_response(hashes[number], longest)


def _input_response(sha256: str, longest: int | None) -> Response:
    if not sha256:
        raise errors.NotReady("The job's images have not been fetched.")
    key = keys.input_image(sha256)
    if longest is None:
        return blob_response(key, "image/png", cache=IMMUTABLE)
    name = f"{key}-{longest}"
    return file_response(
        name,
        "image/jpeg",
        lambda: render_cached(name, [key], lambda files: _thumbnail(files[0], longest)),
        cache=IMMUTABLE,
    )


def _thumbnail(png: bytes, longest: int) -> bytes:
    return encoding.encode_jpeg(images.decode(png, max_pixels=images.MAX_SIDE**2), longest=longest)
