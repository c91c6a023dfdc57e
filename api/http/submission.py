"""A submission, whether it came as a form or as JSON: its parts, and what must hold for them together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import request

from api.http.limits import MAX_TEXT_BYTES
from api.http.strict_json import parse_strict_json
from shared.errors import (
    BodyTooLarge,
    InvalidImageUrl,
    InvalidMask,
    InvalidRecipe,
    MalformedRequest,
    MissingImage,
    TooManyImages,
    UnknownTier,
)
from shared.inputs.sources import ImageSource, ImageSources, ImageUrl, image_url_problem
from shared.jobs.job import WebhookTarget
from shared.jobs.metadata import parse_metadata
from shared.jobs.webhook import parse_webhook_target
from shared.settings import Settings

_MAX_KEY_LENGTH: Final = 255
_PRESET_NAME: Final = re.compile(r"(?!(?:true|false|null)$)[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class SubmissionParts:
    """What was sent. Images are not decoded yet; large ones are files on disk."""

    content: Sequence[ImageSource]
    styles: Sequence[ImageSource]
    style_masks: Sequence[ImageSource]
    content_masks: Sequence[ImageSource]
    init_image: Sequence[ImageSource]
    init_job: str  # "" without one, as are all texts
    recipe: str
    tier: str | None
    metadata: str
    webhook_url: str
    webhook_events: Sequence[str]
    how_to_send: str  # an image, for people


@dataclass(frozen=True)
class Submission:
    """A valid submission."""

    images: ImageSources
    init_job: str  # "" without one
    recipe: dict[str, Any]
    tier: str
    idempotency_key: str | None
    webhook: WebhookTarget | None
    metadata: dict[str, str]


def check_submission(parts: SubmissionParts, settings: Settings) -> Submission:
    """Return a submission. Raises a subclass of BadInput."""
    _check_images(parts, settings)
    _check_masks(parts)
    _check_urls(parts, settings)
    return Submission(
        images=ImageSources(
            content=parts.content[0],
            styles=tuple(parts.styles),
            style_masks=tuple(parts.style_masks),
            content_masks=tuple(parts.content_masks),
            init_image=parts.init_image[0] if parts.init_image else None,
        ),
        init_job=parts.init_job,
        recipe=parse_recipe(parts.recipe),
        tier=_tier(parts, settings),
        idempotency_key=idempotency_key(),
        webhook=_webhook(parts, settings),
        metadata=parse_metadata(parts.metadata),
    )


def parse_recipe(text: str) -> dict[str, Any]:
    """Return the recipe in `text`: a JSON object, a preset's name, or nothing.

    Raises BodyTooLarge, MalformedRequest, InvalidRecipe.
    """
    if len(text) > MAX_TEXT_BYTES:  # a file, or in JSON
        raise BodyTooLarge(f"The recipe has more than {MAX_TEXT_BYTES:,} characters.")
    if not text.strip():
        return {}
    if _PRESET_NAME.fullmatch(text):
        return {"preset": text}
    recipe = parse_strict_json(text, name="recipe", ambiguous=InvalidRecipe)
    if not isinstance(recipe, dict):
        raise InvalidRecipe('The recipe must be a JSON object, such as {"preset": "fast"}.')
    return recipe


def _check_images(parts: SubmissionParts, settings: Settings) -> None:
    styles = len(parts.styles)
    for field, images in (("content", parts.content), ("style", parts.styles)):
        if not images:
            raise MissingImage(f"Send a {field} image: {parts.how_to_send}.", field=field)
    if len(parts.content) > 1:
        raise TooManyImages(f"Send one content image, not {len(parts.content)}.", field="content")
    if styles > settings.max_styles:
        raise TooManyImages(f"Send at most {settings.max_styles} style images, not {styles}.", field="style")
    if len(parts.init_image) > 1:
        raise TooManyImages(f"Send one init_image, not {len(parts.init_image)}.", field="init_image")
    if parts.init_image and parts.init_job:
        raise TooManyImages("Send init_image or init_job, not both.", field="init_job")


def _check_masks(parts: SubmissionParts) -> None:
    styles, style_masks, content_masks = len(parts.styles), len(parts.style_masks), len(parts.content_masks)
    if style_masks not in {0, styles}:
        detail = f"There are {style_masks} style masks for {styles} styles. Send one for each, in order."
        raise InvalidMask(f"{detail} A white one uses all of its style.", field="style_mask")
    if content_masks not in {0, 1, styles}:
        detail = f"There are {content_masks} masks for {styles} style image{'s' * (styles > 1)}. Send one for each, or"
        raise InvalidMask(f"{detail} one image with flat colors.", field="content_mask")


def _check_urls(parts: SubmissionParts, settings: Settings) -> None:
    for field in ("content", "styles", "style_masks", "content_masks", "init_image"):
        for number, image in enumerate(getattr(parts, field)):
            problem = isinstance(image, ImageUrl) and image_url_problem(image.url, private=settings.fetch_private)
            if problem:
                raise InvalidImageUrl(problem, field=field.removesuffix("s"), number=number)


def _tier(parts: SubmissionParts, settings: Settings) -> str:
    tier = settings.default_tier if parts.tier is None else parts.tier
    if tier not in settings.tiers:
        raise UnknownTier(f"tier must be one of {', '.join(settings.tiers)}.")
    return tier


def _webhook(parts: SubmissionParts, settings: Settings) -> WebhookTarget | None:
    url, events = parts.webhook_url, parts.webhook_events
    if not url and not events:
        return None
    return parse_webhook_target(url, events, enabled=bool(settings.webhook_secret), private=settings.webhook_private)


def idempotency_key() -> str | None:
    """Return the header Idempotency-Key. Raises MalformedRequest."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= _MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
        raise MalformedRequest(f"Idempotency-Key must have 1 to {_MAX_KEY_LENGTH} printable ASCII characters.")
    return key
