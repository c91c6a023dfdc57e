"""`POST /v1/jobs`: from a stranger's form to a record in the queue, top to bottom."""

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Blueprint, Response
from pydantic import Field
from uuid_utils import uuid7
from werkzeug.datastructures import FileStorage

from api.admission import admission
from api.context import here
from api.eta.forecast import Eta, Forecast
from api.http.limits import decoding
from api.http.multipart import BODY, Order, read_order
from api.http.operations import Answer, Query, operation
from api.http.serializers import JobView, answer, job_url, job_view, views
from easel.models import JobState, Progress
from shared import errors, images
from shared.jobs.estimate import MemoryKind, Quote, peak_memory, quote
from shared.jobs.job import Job, Request
from shared.recipe import Recipe, resolve
from shared.recovery.job_files import write_request
from shared.services import Services
from shared.storage import keys

routes = Blueprint("submit", __name__)
log = structlog.get_logger(__name__)


class SubmitQuery(Query):
    """How to submit."""

    dry_run: bool = Field(default=False, description="Only say what the job would cost; nothing is stored.")


class QuoteView(Quote):
    """What the job would cost, on the workers of the moment."""

    seconds: float = Field(description="On one worker, waiting not counted; as likely less as more.")
    tier: str
    recipe: Recipe
    memory_kind: MemoryKind = Field(
        description="Which of the two peaks counts for the workers of its tier; `host` where none lives."
    )
    fits: bool = Field(description="Whether a worker of its tier has the memory; true where nobody can know.")
    fitting_size: int | None = Field(
        description="The largest size that would fit; null where it fits as it is, or at no size."
    )
    queue_depth: int = Field(description="Jobs that would wait before it in its tier.")
    run_seconds: Eta = Field(description="On one worker, waiting not counted; `seconds` is its p50.")
    eta_seconds: Eta | None = Field(description="Until its end, waiting counted; null where nobody works.")


@dataclass(frozen=True)
class _Picture:
    """One input as it is kept."""

    sha256: str
    png: bytes
    width: int
    height: int


@routes.post("/v1/jobs")
@operation(
    Answer(202, "The job waits in the queue.", JobView, headers=("Location", "Idempotency-Replayed")),
    Answer(200, "The quote, for a dry run.", QuoteView),
    query=SubmitQuery,
    body=BODY,
    headers={"Idempotency-Key": "The same key with the same request gives the same job, for 24 hours."},
    errors=(
        *(errors.MissingImage, errors.TooManyImages, errors.NotAnImage, errors.BrokenImage, errors.AnimatedImage),
        *(errors.ImageTooLarge, errors.ImageTooSmall, errors.InvalidRecipe, errors.UnknownTier, errors.BodyTooLarge),
        *(errors.UnsupportedMediaType, errors.IdempotencyKeyReused, errors.QueueFull, errors.DoesNotFit),
        *(errors.InvalidWebhook, errors.WebhooksDisabled),
    ),
)
def submit(query: SubmitQuery) -> Response:
    """Submit a job.

    Images are turned upright, converted to sRGB and stripped of all metadata before they are kept.
    """
    settings, services = here().settings, here().services
    order = read_order(settings)
    recipe = _recipe(order)
    if not query.dry_run:
        _refuse_when_full(services, order)
    content = _picture(order.content, recipe, settings.max_pixels, field="content")
    styles = [
        _picture(upload, recipe, settings.max_pixels, field="style", number=number)
        for number, upload in enumerate(order.styles)
    ]
    request = _request(order, recipe, content, styles)
    if query.dry_run:
        return answer(_quote(services, request))

    if earlier := _earlier(services, request):
        return _accepted(services, earlier, replayed=True)
    admission(request, services.queue_stats.workers()).check()
    _store(services, request, [content, *styles])
    job_id, created = _enter(services, request)
    if created:
        services.dispatcher.wake(request.tier)  # a bell that fails is no failure: the reaper rings again
        log.info("job_submitted", job=job_id, tier=request.tier, preset=recipe.preset)
    return _accepted(services, job_id, request, replayed=not created)


def _recipe(order: Order) -> Recipe:
    recipe = resolve(order.recipe)
    if recipe.style_mix and len(recipe.style_mix) != len(order.styles):
        raise errors.InvalidRecipe(
            f"style_mix has {len(recipe.style_mix)} shares for {len(order.styles)} style images; give one for each.",
            errors=[{"field": "style_mix", "message": "one share for each style image"}],
        )
    return recipe


def _refuse_when_full(services: Services, order: Order) -> None:
    """Before any work is done. Only a request that was accepted earlier gets its answer all the same."""
    limit = services.settings.queue_limit
    known = order.idempotency_key and services.ledger.remembered(order.idempotency_key)
    if not known and services.queue_stats.count(JobState.QUEUED) >= limit:
        raise errors.QueueFull


def _picture(upload: FileStorage, recipe: Recipe, max_pixels: int, **place: Any) -> _Picture:
    """The image as it will be kept. Raises what is wrong with it; `place`, in the form, tells which one it is."""
    try:
        with decoding():
            image = images.decode(upload.read(), max_pixels=max_pixels)
            images.fit(image.size, min(longest for longest, _ in recipe.schedule()))
            png = images.canonical(image)
    except errors.BadInput as error:
        error.extra |= place
        raise
    return _Picture(hashlib.sha256(png).hexdigest(), png, *image.size)


def _request(order: Order, recipe: Recipe, content: _Picture, styles: list[_Picture]) -> Request:
    hashes = [content.sha256, [style.sha256 for style in styles]]
    hook = [order.webhook.model_dump(mode="json")] if order.webhook else []
    told = json.dumps([*hashes, recipe.model_dump(mode="json"), order.tier, *hook], sort_keys=True)
    pixels = tuple(style.width * style.height for style in styles)
    return Request(
        id=str(uuid7()),
        tier=order.tier,
        recipe=recipe,
        content=content.sha256,
        styles=tuple(style.sha256 for style in styles),
        width=content.width,
        height=content.height,
        style_pixels=pixels,
        peak_memory_bytes=peak_memory(recipe, content.width, content.height, pixels),
        peak_gpu_memory_bytes=peak_memory(recipe, content.width, content.height, pixels, kind="gpu"),
        created_at=time.time(),
        idempotency_key=order.idempotency_key,
        webhook=order.webhook,
        digest=hashlib.sha256(told.encode()).hexdigest(),
    )


def _quote(services: Services, request: Request) -> QuoteView:
    newcomer = _fresh(request)
    forecast = Forecast.of_now(services, newcomer)
    run = forecast.run(newcomer)
    cost = quote(request.recipe, request.width, request.height, request.style_pixels)
    room = admission(request, services.queue_stats.workers())
    return QuoteView(
        **cost.model_dump(),
        seconds=run.p50,
        memory_kind=room.kind,
        fits=room.fits,
        fitting_size=room.fitting_size,
        tier=request.tier,
        recipe=request.recipe,
        queue_depth=services.queue_stats.depth(request.tier),
        run_seconds=run,
        eta_seconds=forecast.eta(newcomer),
    )


def _earlier(services: Services, request: Request) -> str | None:
    """The job that this idempotency key stands for. Raises IdempotencyKeyReused."""
    found = services.ledger.remembered(request.idempotency_key) if request.idempotency_key else None
    if found is None:
        return None
    digest, job_id = found
    if digest != request.digest:
        raise errors.IdempotencyKeyReused
    return job_id


def _store(services: Services, request: Request, pictures: list[_Picture]) -> None:
    """Inputs first, then the request that names them. Written anew where they exist: the sweep spares the young."""
    for picture in {picture.sha256: picture for picture in pictures}.values():
        services.blobs.put(keys.input_image(picture.sha256), picture.png, content_type="image/png")
    write_request(services.blobs, request)


def _enter(services: Services, request: Request) -> tuple[str, bool]:
    """Create the record. Where the ledger will have none of it, no request.json may outlive that."""
    settings = services.settings
    try:
        job_id, created = services.ledger.submit(
            request, queue_limit=settings.queue_limit, remember_seconds=settings.idempotency_seconds
        )
    except errors.EaselError as error:
        # Where no answer came, or the ledger is being rebuilt, the record may exist all the same; the request stays.
        unsure = isinstance(error, (errors.LedgerUnavailable, errors.LedgerLost))
        if isinstance(error, errors.LedgerReadOnly) or not unsure:
            services.blobs.delete(keys.request(request.id))
        raise
    if not created:
        services.blobs.delete(keys.request(request.id))
    return job_id, created


def _accepted(services: Services, job_id: str, request: Request | None = None, *, replayed: bool) -> Response:
    try:
        (view,) = views(here(), [services.ledger.get(job_id)], fresh=not replayed)
    except errors.Unavailable:
        if request is None or replayed:
            raise
        view = job_view(_fresh(request))  # the record exists, so the answer is 202 whatever happens now
    told = {"Idempotency-Replayed": "true"} if replayed else {}
    return answer(view, 202, Location=job_url(job_id), **told)


def _fresh(request: Request) -> Job:
    """The record of a job that has just come, behind all others."""
    return Job(
        id=request.id,
        state=JobState.QUEUED,
        request=request,
        order=2**53,
        progress=Progress(total=request.recipe.steps),
    )
