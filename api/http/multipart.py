"""Parses and validates the multipart form of a submission."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

from flask import Request, request
from pydantic import TypeAdapter, ValidationError
from werkzeug.datastructures import FileStorage
from werkzeug.formparser import FormDataParser, default_stream_factory

from shared.errors import (
    InvalidMask,
    InvalidRecipe,
    InvalidWebhook,
    MalformedRequest,
    MissingImage,
    TooManyImages,
    UnknownTier,
    UnsupportedMediaType,
)
from shared.inputs.sources import ImageId, ImageSource, ImageSources
from shared.jobs.job import WebhookTarget
from shared.jobs.metadata import parse_metadata
from shared.jobs.webhook import parse_webhook_target
from shared.settings import Settings
from shared.validation_messages import suggestion

_PARTS: Final = (
    *("content", "style", "style_mask", "content_mask", "init_image", "init_job"),
    *("recipe", "tier", "metadata", "webhook_url", "webhook_events"),
)
_MAX_KEY_LENGTH: Final = 255
_PRESET_NAME: Final = re.compile(r"(?!(?:true|false|null)$)[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class Submission:
    """A parsed form. Images are not decoded yet; large ones are files on disk."""

    images: ImageSources
    init_job: str  # "" without one
    recipe: dict[str, Any]
    tier: str
    idempotency_key: str | None
    webhook: WebhookTarget | None
    metadata: dict[str, str]


class StrictFormRequest(Request):
    """Rejects broken forms, of which Flask would use what it can parse, and closes all files it opened."""

    def make_form_data_parser(self) -> FormDataParser:
        """Return Flask's parser, with errors raised."""
        parser = super().make_form_data_parser()
        parser.silent = False
        parser.stream_factory = self._open
        return parser

    def close(self) -> None:
        """Close the request, and the files of a form that was not parsed to its end."""
        super().close()
        for stream in self.__dict__.pop("opened", ()):
            stream.close()

    def _open(self, *args: Any, **options: Any) -> IO[bytes]:
        stream: IO[bytes] = default_stream_factory(*args, **options)
        self.__dict__.setdefault("opened", []).append(stream)
        return stream


def parse_submission(settings: Settings) -> Submission:
    """Return the form of the current request. Raises a subclass of BadInput."""
    _check_parts(_PARTS, example="content and style (curl: -F, not -d)")
    contents, styles, init_images = (_images(name) for name in ("content", "style", "init_image"))
    if not contents or not styles:
        missing = "style" if contents else "content"
        raise MissingImage(f"Send a {missing} image. {_how_to_send(missing)}", field=missing)
    if len(contents) > 1:
        raise TooManyImages(f"Send one content image, not {len(contents)}.", field="content")
    if len(styles) > settings.max_styles:
        raise TooManyImages(f"Send at most {settings.max_styles} style images, not {len(styles)}.", field="style")
    style_masks = _images("style_mask")
    if len(style_masks) not in {0, len(styles)}:
        detail = f"There are {len(style_masks)} style masks for {len(styles)} styles. Send one for each, in order."
        raise InvalidMask(f"{detail} A white one uses all of its style.", field="style_mask")
    if len(init_images) > 1:
        raise TooManyImages(f"Send one init_image, not {len(init_images)}.", field="init_image")
    if init_images and _text("init_job"):
        raise TooManyImages("Send init_image or init_job, not both.", field="init_job")
    return Submission(
        images=ImageSources(
            content=contents[0],
            styles=tuple(styles),
            style_masks=tuple(style_masks),
            content_masks=tuple(_images("content_mask")),
            init_image=init_images[0] if init_images else None,
        ),
        init_job=_text("init_job"),
        recipe=parse_recipe(_recipe_text()),
        tier=_tier(settings),
        idempotency_key=_idempotency_key(),
        webhook=_webhook(settings),
        metadata=parse_metadata(_text("metadata")),
    )


def parse_recipe(text: str) -> dict[str, Any]:
    """Return the recipe in `text`: a JSON object, a preset's name, or nothing.

    Raises MalformedRequest, InvalidRecipe.
    """
    if not text.strip():
        return {}
    if _PRESET_NAME.fullmatch(text):
        return {"preset": text}
    try:
        recipe = json.loads(text, parse_constant=_reject_constant, object_pairs_hook=_reject_duplicates)
        json.dumps(recipe, ensure_ascii=False).encode()  # a lone surrogate is valid JSON, but not valid text
    except RecursionError as error:
        raise MalformedRequest("The recipe is nested too deeply.") from error
    except ValueError as error:
        raise MalformedRequest(f"The recipe is not valid JSON: {error}.") from error
    if not isinstance(recipe, dict):
        raise InvalidRecipe('The recipe must be a JSON object, such as {"preset": "fast"}.')
    return recipe


def _check_parts(known: Sequence[str], *, example: str) -> None:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType(f"Send multipart/form-data with {example}.")
    try:
        names = [*request.files, *request.form]
    except ValueError as error:
        raise MalformedRequest(f"The multipart body is malformed: {error}.") from error
    unknown = sorted(str(name) for name in set(names) - set(known))  # a part may lack a name
    if unknown:
        hint = suggestion(unknown[0], known) or "."
        raise MalformedRequest(f"Unknown form part {unknown[0]!r}{hint} Known parts: {', '.join(known)}.")


def _files(name: str) -> list[FileStorage]:
    return request.files.getlist(name)


def parse_image() -> FileStorage:
    """Return the file in the form of the current request. Raises a subclass of BadInput."""
    _check_parts(("image",), example="an image (curl: -F image=@photo.jpg)")
    files = _files("image")
    if not files:
        raise MissingImage("Send an image as a file (curl: -F image=@photo.jpg).", field="image")
    if len(files) > 1:
        raise TooManyImages(f"Send one image, not {len(files)}.", field="image")
    return files[0]


def _images(name: str) -> list[ImageSource]:
    """Return the images of a part: files, or IDs as text. Raises MissingImage, MalformedRequest."""
    files, texts = _files(name), request.form.getlist(name)
    if files and texts:
        raise MalformedRequest(f"Send all {name} parts as files, or all as image IDs: their order would be lost.")
    ids = [image_id for text in texts if (image_id := ImageId.parse(text.strip()))]
    if len(ids) < len(texts):
        raise MissingImage(f"{name} was sent as text that is not the ID of an image. {_how_to_send(name)}", field=name)
    return [*files, *ids]


def _how_to_send(name: str) -> str:
    return f"Send it as a file (curl: -F {name}=@image.jpg), or the ID that POST /v1/images returned for it."


def _recipe_text() -> str:
    """Return the recipe, which is sent as text or as a file."""
    texts = request.form.getlist("recipe")
    for file in _files("recipe"):
        try:
            texts.append(file.read().decode())
        except UnicodeDecodeError as error:
            raise MalformedRequest("The recipe is not UTF-8.") from error
    if len(texts) > 1:
        raise MalformedRequest(f"Send one recipe, not {len(texts)}.")
    return texts[0] if texts else ""


def _tier(settings: Settings) -> str:
    tiers = request.form.getlist("tier") or [settings.default_tier]
    if len(tiers) > 1 or tiers[0] not in settings.tiers:
        raise UnknownTier(f"tier must be one of {', '.join(settings.tiers)}.")
    return tiers[0]


def _webhook(settings: Settings) -> WebhookTarget | None:
    url, events = _text("webhook_url"), parse_events(_text("webhook_events"))
    if not url and not events:
        return None
    return parse_webhook_target(url, events, enabled=bool(settings.webhook_secret), private=settings.webhook_private)


def parse_events(text: str) -> list[str]:
    """Return the names in a JSON array, or separated by commas. Raises InvalidWebhook."""
    if not text.startswith("["):
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        return TypeAdapter(list[str]).validate_json(text)
    except ValidationError as error:
        errors = [{"field": "webhook_events", "message": "not a JSON array of strings"}]
        raise InvalidWebhook('webhook_events must be a JSON array such as ["job.succeeded"].', errors=errors) from error


def _text(name: str) -> str:
    """Return an optional text part, "" if it is omitted. Raises MalformedRequest."""
    texts = request.form.getlist(name)
    if len(texts) > 1 or name in request.files:
        raise MalformedRequest(f"Send {name} once, as text (curl: -F {name}=...).")
    return texts[0].strip() if texts else ""


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= _MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
        raise MalformedRequest(f"Idempotency-Key must have 1 to {_MAX_KEY_LENGTH} printable ASCII characters.")
    return key


def _reject_constant(name: str) -> Any:
    raise InvalidRecipe(
        f"The recipe contains {name}, which is not a finite number.", errors=[{"field": "recipe", "message": name}]
    )


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    counts = Counter(name for name, _ in pairs)
    duplicates = sorted(name for name, count in counts.items() if count > 1)
    if duplicates:
        raise InvalidRecipe(
            f"The recipe repeats {', '.join(duplicates)}.",
            errors=[{"field": name, "message": "repeated"} for name in duplicates],
        )
    return dict(pairs)
