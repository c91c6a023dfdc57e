"""Small JSON objects as bodies of requests."""

import json
from typing import Any, Final, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError

from shared.errors import MalformedRequest, UnsupportedMediaType
from shared.validation_messages import field_errors, sentence

M = TypeVar("M", bound=BaseModel)
_MAX_BODY_BYTES: Final = 4096  # also for clients without a key


def parse_json(*, example: str) -> dict[str, Any]:
    """Return the object in the body. Errors show the example. Raises MalformedRequest, UnsupportedMediaType."""
    request.max_content_length = _MAX_BODY_BYTES
    if request.mimetype != "application/json":
        raise UnsupportedMediaType(f"Send application/json: {example}.")
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(f"The body is not valid JSON. Send {example}.") from error
    if not isinstance(body, dict):
        raise MalformedRequest(f"Send a JSON object such as {example}.")
    return body


def parse_model(model: type[M], *, example: str) -> M:
    """Return the object in the body as a model. Raises MalformedRequest, UnsupportedMediaType."""
    try:
        return model.model_validate_json(json.dumps(parse_json(example=example)), strict=True)
    except ValidationError as error:
        errors = field_errors(error, kind="field", model=model)
        raise MalformedRequest(f"Invalid body. {sentence(errors)}", errors=errors) from error
