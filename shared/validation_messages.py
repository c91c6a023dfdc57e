"""Plain-English messages for pydantic errors: the end of a sentence, as in "size: must be at most 4096"."""

from typing import Any, Final

from pydantic_core import ErrorDetails

_RFC_3339: Final = "must be a time with an offset, such as 2026-11-28T12:00:00Z (in a URL, + is %2B)"
_MESSAGES: Final = {
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a string",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have a length of at least {min_length}",
    "string_pattern_mismatch": "must match {pattern}",
    "datetime_from_date_parsing": _RFC_3339,
    "datetime_parsing": _RFC_3339,
    "timezone_aware": _RFC_3339,
    "literal_error": "must be one of {expected}",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "tuple_type": "must be a list",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length}",
    "missing": "is missing",
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}",
    "union_tag_not_found": "{discriminator} is missing",
}


def message_for(error: ErrorDetails, *, kind: str) -> str:
    """Return the message for an error in a `kind`, such as a parameter; pydantic's own if there is no other."""
    if error["type"] == "extra_forbidden":
        return f"unknown {kind}"
    message = _MESSAGES.get(error["type"])
    if message is None:
        return error["msg"].removeprefix("Value error, ")
    return message.format_map({name: _format(value) for name, value in error.get("ctx", {}).items()})


def _format(value: Any) -> Any:
    return f"{value:.10g}" if isinstance(value, int | float) else value
