"""Reads the multipart form of a submission. Nothing is believed: parts, names, numbers and nesting are checked."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import IO, Any, Final

from flask import Request, request
from pydantic import TypeAdapter, ValidationError
from werkzeug.datastructures import FileStorage
from werkzeug.formparser import FormDataParser, default_stream_factory

from shared.errors import (
    InvalidRecipe,
    InvalidWebhook,
    MalformedRequest,
    MissingImage,
    TooManyImages,
    UnknownTier,
    UnsupportedMediaType,
)
from shared.images import FORMATS
from shared.jobs.job import EVENTS, Webhook
from shared.jobs.webhook import webhook
from shared.settings import Settings

_PARTS: Final = ("content", "style", "recipe", "tier", "webhook_url", "webhook_events")
_LONGEST_KEY: Final = 255

BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["content", "style"],
                "additionalProperties": False,
                "properties": {
                    "content": {
                        "type": "string",
                        "contentMediaType": "application/octet-stream",
                        "description": f"The photo: {', '.join(FORMATS)}; still, any colour space.",
                    },
                    "style": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                        "description": "The painting; repeat the part to mix several.",
                    },
                    "recipe": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": {"$ref": "#/components/schemas/Recipe"},
                        "description": "A preset by name and what should differ from it; `default` where left out.",
                        "examples": ['{"preset": "fast", "size": 384}'],
                    },
                    "tier": {"type": "string", "description": "A waiting line of EASEL_TIERS; the first by default."},
                    "webhook_url": {
                        "type": "string",
                        "description": "Where to POST what happens to the job, signed as Standard Webhooks has it.",
                        "examples": ["https://example.com/easel"],
                    },
                    "webhook_events": {
                        "type": "string",
                        "description": f"A JSON array, or separated by commas, of {', '.join(EVENTS)}; all by default.",
                        "examples": ["job.succeeded,job.failed"],
                    },
                },
            },
            "encoding": {
                "content": {"contentType": "image/jpeg, image/png, image/webp, image/gif, image/tiff"},
                "style": {"contentType": "image/jpeg, image/png, image/webp, image/gif, image/tiff"},
            },
        }
    },
}
"""The form, as OpenAPI describes it."""


@dataclass(frozen=True)
class Order:
    """What was sent, not yet looked into. Images lie where the form's parser put them: large ones on disk."""

    content: FileStorage
    styles: tuple[FileStorage, ...]
    recipe: dict[str, Any]
    tier: str
    idempotency_key: str | None
    webhook: Webhook | None


class StrictRequest(Request):
    """Says that a form is broken where Flask would take what it can get, and closes what it opened for it."""

    def make_form_data_parser(self) -> FormDataParser:
        """As in Flask, but not silent."""
        parser = super().make_form_data_parser()
        parser.silent = False
        parser.stream_factory = self._open
        return parser

    def close(self) -> None:
        """As in Flask, and the files of a form that was given up half read."""
        super().close()
        for stream in self.__dict__.pop("opened", ()):
            stream.close()

    def _open(self, *args: Any, **options: Any) -> IO[bytes]:
        stream: IO[bytes] = default_stream_factory(*args, **options)
        self.__dict__.setdefault("opened", []).append(stream)
        return stream


def read_order(settings: Settings) -> Order:
    """The request's form. Raises what is wrong with it, as a kind of BadInput."""
    _check_parts()
    contents, styles = _files("content"), _files("style")
    if not contents or not styles:
        raise MissingImage(_missing("style" if contents else "content"))
    if len(contents) > 1:
        raise TooManyImages(f"Send one content image; there are {len(contents)}.")
    if len(styles) > settings.max_styles:
        raise TooManyImages(f"Send at most {settings.max_styles} style images; there are {len(styles)}.")
    return Order(
        content=contents[0],
        styles=tuple(styles),
        recipe=parse_recipe(_recipe_text()),
        tier=_tier(settings),
        idempotency_key=_idempotency_key(),
        webhook=_webhook(settings),
    )


def parse_recipe(text: str) -> dict[str, Any]:
    """The JSON object in `text`, {} for none. Raises MalformedRequest, InvalidRecipe."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_doubles)
        json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair is JSON, but no text
    except RecursionError as error:
        raise MalformedRequest("The recipe is nested too deeply; it is one flat JSON object.") from error
    except ValueError as error:
        raise MalformedRequest(f"The recipe is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise InvalidRecipe('The recipe must be a JSON object, such as {"preset": "fast"}.')
    return found


def _check_parts() -> None:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data with content, style and recipe (curl: -F, not -d).")
    try:
        names = [*request.files, *request.form]
    except ValueError as error:
        raise MalformedRequest(f"The multipart body is broken: {error}.") from error
    unknown = sorted(set(names) - set(_PARTS))
    if unknown:
        raise MalformedRequest(f"The form has no part {unknown[0]!r}; it takes {', '.join(_PARTS)}.")


def _files(name: str) -> list[FileStorage]:
    return request.files.getlist(name)


def _missing(name: str) -> str:
    if name in request.form:
        return f"{name} was sent as text; send it as a file with a file name (curl: -F {name}=@photo.jpg)."
    return f"Send a {name} image as a file (curl: -F {name}=@photo.jpg)."


def _recipe_text() -> str:
    """The recipe as text or as a file, not both."""
    texts = request.form.getlist("recipe")
    for file in _files("recipe"):
        try:
            texts.append(file.read().decode())
        except UnicodeDecodeError as error:
            raise MalformedRequest("The recipe is no UTF-8 text.") from error
    if len(texts) > 1:
        raise MalformedRequest(f"Send one recipe; there are {len(texts)}.")
    return texts[0] if texts else ""


def _tier(settings: Settings) -> str:
    found = request.form.getlist("tier") or [settings.tiers[0]]
    if len(found) > 1 or found[0] not in settings.tiers:
        raise UnknownTier(f"tier must be one of {', '.join(settings.tiers)}.")
    return found[0]


def _webhook(settings: Settings) -> Webhook | None:
    url, events = _text("webhook_url"), parse_events(_text("webhook_events"))
    if not url and not events:
        return None
    return webhook(url, events, enabled=bool(settings.webhook_secret), private=settings.webhook_private)


def parse_events(text: str) -> list[str]:
    """The names in a JSON array, or between commas. Raises InvalidWebhook."""
    if not text.startswith("["):
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        return TypeAdapter(list[str]).validate_json(text)
    except ValidationError as error:
        told = [{"field": "webhook_events", "message": "no JSON array of strings"}]
        raise InvalidWebhook('webhook_events is a JSON array such as ["job.succeeded"].', errors=told) from error


def _text(name: str) -> str:
    """A part that may be left out. Raises MalformedRequest."""
    found = request.form.getlist(name)
    if len(found) > 1 or name in request.files:
        raise MalformedRequest(f"Send {name} once, as text (curl: -F {name}=...).")
    return found[0].strip() if found else ""


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise MalformedRequest(f"An Idempotency-Key is 1 to {_LONGEST_KEY} printable ASCII characters.")
    return key


def _no_constant(name: str) -> Any:
    raise InvalidRecipe(f"{name} is no number that a recipe can hold.", errors=[{"field": "recipe", "message": name}])


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    counted = Counter(name for name, _ in pairs)
    doubled = sorted(name for name, count in counted.items() if count > 1)
    if doubled:
        raise InvalidRecipe(
            f"The recipe names {', '.join(doubled)} twice; which one is meant?",
            errors=[{"field": name, "message": "given twice"} for name in doubled],
        )
    return dict(pairs)
