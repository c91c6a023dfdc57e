"""A job's pictures: what went in, how it emerges, what came out."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from flask import Blueprint, Response, request
from pydantic import BaseModel, Field

from api.context import here, valid_id
from api.http.limits import rendering
from api.http.operations import Answer, Query, operation
from api.http.serializers import FEWEST_STILLS, answer, job_url, moment
from api.imaging.timelapse import animate, chosen
from easel import __version__
from easel.models import TERMINAL, JobState
from shared import errors, images
from shared.jobs.filmstrip import Still
from shared.jobs.job import Job
from shared.storage import keys

routes = Blueprint("pictures", __name__)

_FRESH: Final = "private, no-cache"
_FOR_EVER: Final = "private, max-age=31536000, immutable"
_NOT_MODIFIED: Final = 304


class InputQuery(Query):
    """How large."""

    longest: int | None = Field(
        default=None, ge=32, le=2048, description="A JPEG scaled down to so many pixels on its longest side."
    )


class TimelapseQuery(Query):
    """What for."""

    download: bool = Field(default=False, description="To be saved as a file.")


class PreviewView(BaseModel):
    """One picture of the filmstrip."""

    step: int
    at: datetime
    url: str


class PreviewList(BaseModel):
    """The filmstrip."""

    previews: list[PreviewView] = Field(description="By step.")


_INPUT: Final = (
    Answer(200, "As kept: PNG, upright, sRGB.", media="image/png", headers=("ETag",)),
    Answer(200, "With `longest`: a JPEG.", media="image/jpeg", headers=("ETag",)),
)


@routes.get("/v1/jobs/<job_id>/content")
@operation(*_INPUT, query=InputQuery, errors=(errors.TooManyStreams, errors.TooManyWatchers))
def get_content(job_id: str, query: InputQuery) -> Response:
    """Fetch the photo."""
    return _input(_job(job_id).request.content, query.longest)


@routes.get("/v1/jobs/<job_id>/styles/<int:number>")
@operation(*_INPUT, query=InputQuery, errors=(errors.NotFound, errors.TooManyStreams, errors.TooManyWatchers))
def get_style(job_id: str, number: int, query: InputQuery) -> Response:
    """Fetch a painting; the first is 0."""
    styles = _job(job_id).request.styles
    if number >= len(styles):
        raise errors.NotFound(f"The job has {len(styles)} style images; the first is 0.")
    return _input(styles[number], query.longest)


@routes.get("/v1/jobs/<job_id>/preview")
@operation(Answer(200, "A small JPEG.", media="image/jpeg", headers=("ETag",)), errors=(errors.NotReady,))
def get_preview(job_id: str) -> Response:
    """Fetch the picture as it is now, small."""
    job = _job(job_id)
    if job.preview is None:
        raise errors.NotReady("There is no preview yet; the first comes after a few steps.")
    return _blob(job.preview, "image/jpeg", cache=_cache(job))


@routes.get("/v1/jobs/<job_id>/previews")
@operation(Answer(200, "The filmstrip.", PreviewList))
def list_previews(job_id: str) -> Response:
    """List the previews, by step; a step that was done again after a fault stands here as it came out last."""
    job = _job(job_id)
    stills = here().services.filmstrip.of(job.id)
    return answer(PreviewList(previews=[_preview(job.id, still) for still in stills]))


@routes.get("/v1/jobs/<job_id>/previews/<int:step>")
@operation(Answer(200, "A small JPEG.", media="image/jpeg", headers=("ETag",)), errors=(errors.NotFound,))
def get_preview_at(job_id: str, step: int) -> Response:
    """Fetch the picture as it was after a step, small."""
    job = _job(job_id)
    still = here().services.filmstrip.at(job.id, step)
    if still is None:
        raise errors.NotFound(f"There is no preview of step {step}; the list of previews names those that there are.")
    return _blob(still.key, "image/jpeg", cache=_cache(job))


@routes.get("/v1/jobs/<job_id>/timelapse")
@operation(
    Answer(200, "Animated WebP.", media="image/webp", headers=("ETag", "Content-Disposition")),
    query=TimelapseQuery,
    errors=(errors.NotReady, errors.TooManyStreams, errors.TooManyWatchers),
)
def get_timelapse(job_id: str, query: TimelapseQuery) -> Response:
    """Fetch the previews as a film of a few seconds that begins again and again."""
    job = _job(job_id)
    stills = chosen(here().services.filmstrip.of(job.id))
    if len(stills) < FEWEST_STILLS:
        raise errors.NotReady("A time-lapse takes two previews; wait for the next.")
    shown = [still.key for still in stills]
    name = hashlib.sha256(" ".join((__version__, *shown)).encode()).hexdigest()
    response = _conditional(name, "image/webp", cache=_cache(job))
    if response.status_code != _NOT_MODIFIED:
        response.set_data(_made(name, shown, animate))
        kind = "attachment" if query.download else "inline"
        response.headers["Content-Disposition"] = f'{kind}; filename="easel-{job.id}.webp"'
    return response


@routes.get("/v1/jobs/<job_id>/result")
@operation(
    Answer(200, "The picture, PNG, sRGB.", media="image/png", headers=("ETag", "Content-Disposition")),
    errors=(errors.NotReady, errors.WrongState),
)
def get_result(job_id: str) -> Response:
    """Fetch the finished picture."""
    job = _job(job_id)
    response = _blob(_result(job), "image/png", cache=_FOR_EVER)
    response.headers["Content-Disposition"] = f'inline; filename="easel-{job.id}.png"'
    return response


@routes.get("/v1/jobs/<job_id>/provenance")
@operation(
    Answer(200, "Inputs' hashes, recipe, seed, weights, versions, attempts.", media="application/json"),
    errors=(errors.NotReady, errors.WrongState),
)
def get_provenance(job_id: str) -> Response:
    """Fetch how the picture came about."""
    return _blob(keys.provenance(_result(_job(job_id))), "application/json", cache=_FOR_EVER)


def _job(text: str) -> Job:
    return here().services.ledger.get(valid_id(text))


def _cache(job: Job) -> str:
    return _FOR_EVER if job.state in TERMINAL else _FRESH


def _preview(job_id: str, still: Still) -> PreviewView:
    return PreviewView(step=still.step, at=moment(still.at), url=job_url(job_id, f"previews/{still.step}"))


def _input(sha256: str, longest: int | None) -> Response:
    key = keys.input_image(sha256)
    if longest is None:
        return _blob(key, "image/png", cache=_FOR_EVER)
    name = f"{key}-{longest}"
    response = _conditional(name, "image/jpeg", cache=_FOR_EVER)
    if response.status_code != _NOT_MODIFIED:
        response.set_data(_made(name, [key], lambda files: _small(files[0], longest)))
    return response


def _made(name: str, sources: Sequence[str], make: Callable[[Sequence[bytes]], bytes]) -> bytes:
    """What was made of these blobs before, or is now: a film takes seconds of a processor.

    Now means a long request: it may wait for others of its kind, and then finds what one of them made.
    """
    context = here()
    if found := context.thumbnails.find(name):
        return found
    with context.watchers.seat(), rendering():  # before the blobs are in memory, of which those who wait need none
        if found := context.thumbnails.find(name):
            return found
        return context.thumbnails.keep(name, make([context.services.blobs.get(key) for key in sources]))


def _small(png: bytes, longest: int) -> bytes:
    return images.encode_jpeg(images.decode(png, max_pixels=images.LONGEST**2), longest=longest)


def _result(job: Job) -> str:
    if job.result is not None:
        return job.result
    if job.state in TERMINAL:
        ended = "was canceled" if job.state is JobState.CANCELED else "failed"
        raise errors.WrongState(f"The job {ended} and has no result; its preview may show how far it came.")
    raise errors.NotReady("The picture is not finished; wait for it at the job's events, or finish the job now.")


def _blob(key: str, media_type: str, *, cache: str) -> Response:
    """A blob as a response; its key carries a hash or the claim's token and so names these bytes alone."""
    response = _conditional(key, media_type, cache=cache)
    if response.status_code != _NOT_MODIFIED:
        response.set_data(here().services.blobs.get(key))
    return response


def _conditional(name: str, media_type: str, *, cache: str) -> Response:
    """A response yet without a body; 304 where the client has what `name` stands for."""
    response = Response(mimetype=media_type, headers={"Cache-Control": cache})
    response.set_etag(name.replace("/", "-"))
    response.make_conditional(request)
    return response
