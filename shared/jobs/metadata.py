"""A job's metadata: strings by which clients find their jobs again. Its bounds are those of Stripe's API."""

import json
from typing import Annotated, Final

from pydantic import Field, JsonValue, StringConstraints, TypeAdapter, ValidationError

from shared.errors import InvalidMetadata
from shared.validation_messages import MAX_ERRORS, message_for

MAX_KEYS: Final = 20
MAX_KEY_LENGTH: Final = 40
MAX_VALUE_LENGTH: Final = 500

Key = Annotated[str, StringConstraints(min_length=1, max_length=MAX_KEY_LENGTH)]
Value = Annotated[str, StringConstraints(max_length=MAX_VALUE_LENGTH)]
Metadata = Annotated[dict[Key, Value], Field(max_length=MAX_KEYS)]
METADATA_SCHEMA: Final[dict[str, JsonValue]] = {
    "type": "object",
    "maxProperties": MAX_KEYS,
    "propertyNames": {"minLength": 1, "maxLength": MAX_KEY_LENGTH},
    "additionalProperties": {"type": "string", "maxLength": MAX_VALUE_LENGTH},
}
_METADATA: Final = TypeAdapter(Metadata)


def parse_metadata(text: str) -> dict[str, str]:
    """Return the metadata in `text`: a JSON object, or nothing. Raises InvalidMetadata, which never shows a value."""
    if not text:
        return {}
    try:
        return _METADATA.validate_json(text)
    except ValidationError as error:
        errors = [
            {"field": _field(e["loc"]), "message": message_for(e, kind="key")}
            for e in error.errors(include_input=False, include_url=False)[:MAX_ERRORS]
        ]
    summary = "; ".join(f"{e['field']}: {e['message']}" for e in errors)
    raise InvalidMetadata(f"The metadata is invalid. {summary}.", field="metadata", errors=errors)


def _field(location: tuple[int | str, ...]) -> str:
    """Return metadata[KEY], as in the query of a list, for an error at a key or at its value."""
    if not location:
        return "metadata"
    return f"metadata[{json.dumps(str(location[0])[:MAX_KEY_LENGTH], ensure_ascii=False)[1:-1]}]"
