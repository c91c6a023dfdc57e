"""A submission as JSON: its schema, and its parts in the current request."""

import json
import re
import shutil
import threading
from base64 import b64decode
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, Final, cast

from flask import request
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, WithJsonSchema

from api.http.limits import MAX_FORM_PARTS, MAX_TEXT_BYTES
from api.http.multipart import StrictFormRequest
from api.http.strict_json import parse_strict_json
from api.http.submission import SubmissionParts
from shared.errors import BodyTooLarge, MalformedRequest, MissingImage
from shared.inputs.sources import ImageSource, parse_source
from shared.jobs.job import WEBHOOK_EVENTS
from shared.jobs.metadata import METADATA_SCHEMA
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

Image = Annotated[Any, WithJsonSchema(_IMAGE)]
"""Checked by `_source`, whose errors name the image."""
Images = Annotated[list[Image], Field(max_length=MAX_FORM_PARTS)]


class JobSubmission(BaseModel):
    """A job as JSON. What an error calls `style` or `content_mask` is an image of `styles` or `content_masks`."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [_EXAMPLE], "required": ["content", "styles"]}
    )

    content: Image = Field(default=None, description="The photo.")
    styles: Images = Field(default=[], description="The style images, to be blended if there are several.")
    style_masks: Images = Field(
        default=[], description="Which part of each style image is used: white where it is. One for each, or none."
    )
    content_masks: Images = Field(
        default=[],
        description="Where each style applies: white where it does. One for each style, one with a flat color for "
        "each, or none.",
    )
    init_image: Image = Field(default=None, description="The image to start from; sets `init` to `image`.")
    init_job: str = Field(
        default="", description="Instead of `init_image`: the ID of a job whose result to start from."
    )
    recipe: Annotated[Any, WithJsonSchema(_RECIPE)] = Field(
        default={}, description="A preset by name and the fields that differ, or a preset's name alone."
    )
    tier: str | None = Field(default=None, description="By default the one that `GET /v1/queue` marks.")
    metadata: Annotated[Any, WithJsonSchema(METADATA_SCHEMA)] = Field(
        default={}, description="Strings that are kept with the job."
    )
    webhook_url: str = Field(default="", description="The URL that receives the job's events.")
    webhook_events: list[str] = Field(default=[], description=f"By default all of {', '.join(WEBHOOK_EVENTS)}.")


def parse_json_submission() -> SubmissionParts:
    """Return the parts of the body. Raises BodyTooLarge, MalformedRequest, MissingImage."""
    with SpooledTemporaryFile(_SPOOL_BYTES) as body:
        shutil.copyfileobj(request.stream, body)  # a slow client does not hold the others up
        body.seek(0)
        with _PARSING:
            return _parts(_parse(body.read()))


def _parse(body: bytes) -> JobSubmission:
    files = sum(file.end() - file.start() for file in _FILE.finditer(body))
    if len(body) - files > MAX_TEXT_BYTES:  # the objects of what is no file can take twenty times its size
        raise BodyTooLarge(f"The body has more than {MAX_TEXT_BYTES:,} bytes besides the images' base64.")
    value = parse_strict_json(body, name="body")
    try:
        return JobSubmission.model_validate(value)
    except ValidationError as error:
        errors = field_errors(error, kind="field", model=JobSubmission)
        raise MalformedRequest(f"Invalid body. {sentence(errors)}", errors=errors) from error


def _parts(body: JobSubmission) -> SubmissionParts:
    def sources(field: str, *values: Any) -> list[ImageSource]:
        return [_source(value, field, number) for number, value in enumerate(values)]

    return SubmissionParts(
        content=sources("content", *([] if body.content is None else [body.content])),
        styles=sources("style", *body.styles),
        style_masks=sources("style_mask", *body.style_masks),
        content_masks=sources("content_mask", *body.content_masks),
        init_image=sources("init_image", *([] if body.init_image is None else [body.init_image])),
        init_job=body.init_job.strip(),
        recipe=json.dumps({"preset": body.recipe} if isinstance(body.recipe, str) else body.recipe),
        tier=body.tier,
        metadata=json.dumps(body.metadata),
        webhook_url=body.webhook_url.strip(),
        webhook_events=body.webhook_events,
        how_to_send=_HOW_TO_SEND,
    )


def _source(value: Any, field: str, number: int) -> ImageSource:
    if isinstance(value, str) and (reference := parse_source(value)):
        return reference
    if isinstance(value, dict) and value.keys() == {"base64"} and isinstance(value["base64"], str):
        try:
            return cast("StrictFormRequest", request).spool(b64decode(value["base64"], validate=True))
        except ValueError as error:
            detail = f"The base64 of the {field} image is invalid: {error}. Send it without line breaks or a prefix."
            raise MissingImage(detail, field=field, number=number) from error
    raise MissingImage(f"This is not an image. Send {_HOW_TO_SEND}.", field=field, number=number)
