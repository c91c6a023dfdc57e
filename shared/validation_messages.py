"""What pydantic found wrong, in words for who typed it: the end of a sentence, as in "size: at most 4096"."""

from typing import Any, Final

from pydantic_core import ErrorDetails

_WORDS: Final = {
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
    "string_type": "a text",
    "literal_error": "one of {expected}",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "tuple_type": "a list",
    "too_long": "at most {max_length} entries",
    "too_short": "at least {min_length} of them",
    "missing": "is missing",
    "union_tag_invalid": "{discriminator} is one of {expected_tags}",
    "union_tag_not_found": "{discriminator} is missing",
}


def in_words(error: ErrorDetails, *, kind: str) -> str:
    """What is wrong with a `kind`, such as a knob; pydantic's own words where we have none."""
    if error["type"] == "extra_forbidden":
        return f"there is no such {kind}"
    words = _WORDS.get(error["type"])
    if words is None:
        return error["msg"].removeprefix("Value error, ")
    return words.format_map({name: _plain(value) for name, value in error.get("ctx", {}).items()})


def _plain(value: Any) -> Any:
    return f"{value:.10g}" if isinstance(value, int | float) else value
