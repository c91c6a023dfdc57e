"""Plain-English messages for pydantic errors: the end of a sentence, as in "size: at most 4096"."""

from typing import Any, Final

from pydantic_core import ErrorDetails

_MESSAGES: Final = {
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a string",
    "literal_error": "one of {expected}",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "tuple_type": "a list",
    "too_long": "at most {max_length} entries",
    "too_short": "needs at least {min_length}",
    "missing": "is missing",
    "union_tag_invalid": "{discriminator} is one of {expected_tags}",
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
