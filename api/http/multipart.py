"""Parses and validates the multipart form of a submission."""

import json
import re
from collections import Counter
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
from shared.jobs.job import WebhookTarget
from shared.jobs.metadata import parse_metadata
from shared.jobs.webhook import parse_webhook_target
from shared.settings import Settings

_PARTS: Final = (
    *("content", "style", "style_mask", "content_mask", "init_image", "init_job"),
    *("recipe", "tier", "metadata", "webhook_url", "webhook_events"),
)
_MAX_KEY_LENGTH: Final = 255
_PRESET_NAME: Final = re.compile(r"(?!(?:true|false|null)$)[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class Submission:
    """A parsed form. Images are not decoded yet; large ones are files on disk."""

    content: FileStorage
    styles: tuple[FileStorage, ...]
    style_masks: tuple[FileStorage, ...]  # one for each style, or none
    content_masks: tuple[FileStorage, ...]
    init_image: FileStorage | None
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
    _check_parts()
    contents, styles, init_images = (_files(name) for name in ("content", "style", "init_image"))
    if not contents or not styles:
        missing = "style" if contents else "content"
        raise MissingImage(_missing_image_message(missing), field=missing)
    if len(contents) > 1:
        raise TooManyImages(f"Send one content image, not {len(contents)}.", field="content")
    if len(styles) > settings.max_styles:
        raise TooManyImages(f"Send at most {settings.max_styles} style images, not {len(styles)}.", field="style")
    for name in ("content_mask", "style_mask"):
        if name in request.form:
            raise InvalidMask(f"Send {name} as a file (curl: -F {name}=@mask.png).", field=name)
    style_masks = _files("style_mask")
    if len(style_masks) not in {0, len(styles)}:
        detail = f"There are {len(style_masks)} style masks for {len(styles)} styles. Send one for each, in order."
        raise InvalidMask(f"{detail} A white one uses all of its style.", field="style_mask")
    if len(init_images) > 1 or "init_image" in request.form:
        raise TooManyImages("Send one init_image as a file (curl: -F init_image=@start.png).", field="init_image")
    if init_images and _text("init_job"):
        raise TooManyImages("Send init_image or init_job, not both.", field="init_job")
    return Submission(
        content=contents[0],
        styles=tuple(styles),
        style_masks=tuple(style_masks),
        content_masks=tuple(_files("content_mask")),
        init_image=init_images[0] if init_images else None,
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


def _check_parts() -> None:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data with content and style (curl: -F, not -d).")
    try:
        names = [*request.files, *request.form]
    except ValueError as error:
        raise MalformedRequest(f"The multipart body is malformed: {error}.") from error
    unknown = sorted(str(name) for name in set(names) - set(_PARTS))  # a part may lack a name
    if unknown:
        raise MalformedRequest(f"Unknown form part {unknown[0]!r}. Known parts: {', '.join(_PARTS)}.")


def _files(name: str) -> list[FileStorage]:
    return request.files.getlist(name)


def _missing_image_message(name: str) -> str:
    if name in request.form:
        return f"{name} was sent as text. Send it as a file (curl: -F {name}=@photo.jpg)."
    return f"Send a {name} image as a file (curl: -F {name}=@photo.jpg)."


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
