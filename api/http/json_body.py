"""Small JSON objects as bodies of requests."""

import json
from typing import Any, Final, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError

from shared.errors import MalformedRequest, UnsupportedMediaType
from shared.validation_messages import field_errors, sentence

M = TypeVar("M", bound=BaseModel)
_MAX_BODY_BYTES: Final = 4096  # also for clients without a key


def json_body(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Return the documentation of a body that `parse_model` reads."""
    return {"required": required, "content": {"application/json": {"schema": model.model_json_schema()}}}


def parse_model(model: type[M], *, example: str) -> M:
    """Return the object in the body. Errors show the example. Raises MalformedRequest, UnsupportedMediaType."""
    request.max_content_length = _MAX_BODY_BYTES
    if request.mimetype != "application/json":
        raise UnsupportedMediaType(f"Send application/json: {example}.")
    try:
        body = json.loads(request.get_data())
        if not isinstance(body, dict):
            raise MalformedRequest(f"Send a JSON object such as {example}.")
        return model.model_validate_json(json.dumps(body), strict=True)
    except ValidationError as error:
        errors = field_errors(error, kind="field", model=model)
        raise MalformedRequest(f"Invalid body. {sentence(errors)}", errors=errors) from error
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(f"The body is not valid JSON. Send {example}.") from error
