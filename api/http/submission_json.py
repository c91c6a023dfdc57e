"""A submission as JSON: its schema, and its parts in the current request."""

import json
import re
import shutil
import threading
from base64 import b64decode
from collections.abc import Callable
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any, Final, TypeVar, cast

from flask import request
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, WithJsonSchema

from api.http.limits import MAX_FORM_PARTS, MAX_TEXT_BYTES
from api.http.multipart import StrictFormRequest
from api.http.strict_json import parse_strict_json
from api.http.submission import SubmissionParts
from shared.errors import BodyTooLarge, MalformedRequest, MissingImage
from shared.imaging.images import ACCEPTED_FORMATS
from shared.inputs.sources import ImageSource, parse_source
from shared.jobs.job import WEBHOOK_EVENTS
from shared.jobs.metadata import MAX_KEY_LENGTH, MAX_KEYS, MAX_VALUE_LENGTH, METADATA_SCHEMA
from shared.validation_messages import field_errors, sentence

_HOW_TO_SEND: Final = '"sha256:...", an ID of POST /v1/images, "https://...", or {"base64": "..."}'
_SPOOL_BYTES: Final = 256 * 1024
_PARSING: Final = threading.BoundedSemaphore(2)  # a body takes several times its size while it is parsed

_FILE: Final = re.compile(rb"(?<![\w+/=\\-])[\w+/=\\-]{4096,}+")
"""A file in base64 of any kind; some encoders put a backslash before a slash. To look behind keeps the time linear."""
_IMAGE: Final = {
    "anyOf": [
        {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "description": "The ID of an uploaded image."},
        {"type": "string", "format": "uri", "description": "An https URL that the image is fetched from."},
        {
            "type": "object",
            "required": ["base64"],
            "additionalProperties": False,
            "properties": {"base64": {"type": "string", "contentEncoding": "base64"}},
            "description": "A file.",
        },
    ]
}
_RECIPE: Final = {
    "anyOf": [{"$ref": "#/components/schemas/Recipe"}, {"type": "string", "description": "The name of a preset."}]
}
_EXAMPLE_ID: Final = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_EXAMPLE: Final[dict[str, JsonValue]] = {
    "content": _EXAMPLE_ID,
    "styles": [{"base64": "iVBORw0KGgo="}],
    "recipe": {"preset": "fast", "size": 384},
    "metadata": {"order": "6735"},
}

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
OpenFile = Callable[[str], ImageSource]
_INDEX: Final = re.compile(r"\.(\d+)(?=\.|$)")

Image = Annotated[Any, WithJsonSchema(_IMAGE)]
"""Checked by `_source`, whose errors name the image."""
Images = Annotated[list[Image], Field(max_length=MAX_FORM_PARTS)]


class JobFields(BaseModel):
    """Fields of a job as JSON, any of which may be missing."""

    model_config = ConfigDict(extra="forbid", strict=True)

    content: Image = Field(
        default=None,
        description=f"The photo: {', '.join(ACCEPTED_FORMATS)} (HEIC). Not animated; any color space.",
    )
    styles: Images = Field(default=[], description="The style images, to be blended if there are several.")
    style_masks: Images = Field(
        default=[],
        description="Which part of each style image is used: one gray image for each, in order, white where it is "
        "used; or none. Transparent parts of a style image are not used either.",
    )
    content_masks: Images = Field(
        default=[],
        description="Where each style applies: one gray image for each style, in order, white where it applies; or, "
        "for several styles, one image with a flat color for each, from dark to bright; or none. Where all masks are "
        "black, the photo remains.",
    )
    init_image: Image = Field(
        default=None, description="The image to start from, scaled to the photo's size; sets `init` to `image`."
    )
    init_job: str = Field(
        default="", description="Instead of `init_image`: the ID of a job whose result to start from."
    )
    recipe: Annotated[Any, WithJsonSchema(_RECIPE)] = Field(
        default={},
        description="A preset by name and the fields that differ, or a preset's name alone; the preset `default` if "
        "omitted.",
    )
    tier: str | None = Field(
        default=None, description="One of EASEL_TIERS; by default the one that `GET /v1/queue` marks."
    )
    metadata: Annotated[Any, WithJsonSchema(METADATA_SCHEMA)] = Field(
        default={},
        description=f"An object of strings, which are kept with the job: at most {MAX_KEYS} keys of 1 to "
        f"{MAX_KEY_LENGTH} characters, values of at most {MAX_VALUE_LENGTH}.",
    )
    webhook_url: str = Field(
        default="", description="The URL that receives the job's events, signed per Standard Webhooks."
    )
    webhook_events: list[str] = Field(default=[], description=f"By default all of {', '.join(WEBHOOK_EVENTS)}.")


class JobSubmission(JobFields):
    """A job as JSON. What an error calls `style` or `content_mask` is an image of `styles` or `content_masks`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE], "required": ["content", "styles"]})


def parse_json_submission() -> SubmissionParts:
    """Return the parts of the body. Raises BodyTooLarge, MalformedRequest, MissingImage."""
    return parse_body(JobSubmission, lambda job: to_parts(job, decode_file))


def parse_body(model: type[M], convert: Callable[[M], T]) -> T:
    """Return what `convert` makes of the body. Raises BodyTooLarge, MalformedRequest, and what `convert` raises."""
    with SpooledTemporaryFile(_SPOOL_BYTES) as body:
        shutil.copyfileobj(request.stream, body)  # a slow client does not hold the others up
        body.seek(0)
        with _PARSING:
            return convert(_parse(model, body.read()))


def _parse(model: type[M], body: bytes) -> M:
    files = sum(file.end() - file.start() for file in _FILE.finditer(body))
    if len(body) - files > MAX_TEXT_BYTES:  # the objects of what is no file can take twenty times its size
        raise BodyTooLarge(f"The body has more than {MAX_TEXT_BYTES:,} bytes besides the images' base64.")
    value = parse_strict_json(body, name="body")
    if not isinstance(value, dict):
        raise MalformedRequest(
            "The body must be a JSON object.", errors=[{"field": "", "message": "must be an object"}]
        )
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = [
            {**one, "field": _INDEX.sub(r"[\1]", one["field"])}
            for one in field_errors(error, kind="field", model=model)
        ]
        raise MalformedRequest(f"Invalid body. {sentence(errors)}", errors=errors) from error


def to_parts(body: JobFields, open_file: OpenFile) -> SubmissionParts:
    """Return the parts of a job. `open_file` returns what is in an image's base64. Raises MissingImage."""

    def sources(field: str, *values: Any) -> list[ImageSource]:
        return [_source(value, field, number, open_file) for number, value in enumerate(values)]

    return SubmissionParts(
        content=sources("content", *([] if body.content is None else [body.content])),
        styles=sources("style", *body.styles),
        style_masks=sources("style_mask", *body.style_masks),
        content_masks=sources("content_mask", *body.content_masks),
        init_image=sources("init_image", *([] if body.init_image is None else [body.init_image])),
        init_job=body.init_job.strip(),
        recipe=json.dumps(recipe_object(body.recipe)),
        tier=body.tier,
        metadata=json.dumps(body.metadata),
        webhook_url=body.webhook_url.strip(),
        webhook_events=body.webhook_events,
        how_to_send=_HOW_TO_SEND,
    )


def recipe_object(recipe: Any) -> Any:
    """Return the recipe; as an object, if it is the name of a preset."""
    return {"preset": recipe} if isinstance(recipe, str) else recipe


def decode_file(text: str) -> IO[bytes]:
    """Return the file in base64, which is closed with the request. Raises ValueError."""
    return cast("StrictFormRequest", request).spool(b64decode(text, validate=True))


def _source(value: Any, field: str, number: int, open_file: OpenFile) -> ImageSource:
    if isinstance(value, str) and (reference := parse_source(value)):
        return reference
    if isinstance(value, dict) and value.keys() == {"base64"} and isinstance(value["base64"], str):
        try:
            return open_file(value["base64"])
        except ValueError as error:
            detail = f"The base64 of the {field} image is invalid: {error}. Send it without line breaks or a prefix."
            raise MissingImage(detail, field=field, number=number) from error
    raise MissingImage(f"This is not an image. Send {_HOW_TO_SEND}.", field=field, number=number)
