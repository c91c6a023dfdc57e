"""Plain-English messages for pydantic errors: the end of a sentence, as in "size: must be at most 4096"."""

import difflib
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
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
    "datetime_type": _RFC_3339,
    "timezone_aware": _RFC_3339,
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length}",
    "missing": "is missing",
    "json_invalid": "is not valid JSON, or nested too deeply: {error}",
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}",
    "union_tag_not_found": "{discriminator} is missing",
}


_SHOWN_INPUTS: Final = {f"{name}_{step}" for name in ("int", "float", "bool") for step in ("type", "parsing")}
"""Errors whose input is shown if it is short: the difference may be a pair of quotes."""
_MAX_SHOWN: Final = 20
_MAX_NAME: Final = 64
MAX_ERRORS: Final = 20
"""Of one response: names come from requests, which may have thousands of wrong ones."""

FieldError = dict[str, str]
"""The members `field` and `message` of one entry of a problem's `errors`."""


def field_errors(error: ValidationError, *, kind: str, model: type[BaseModel]) -> list[FieldError]:
    """Return the errors of a `model`, such as {"field": "optimizer.beta1", "message": "must be a number"}.

    At most MAX_ERRORS. `kind` is what its fields are called, such as parameter. An unknown one gets a suggestion.
    """
    details = error.errors(include_url=False)
    wrong = [
        e
        for e in details
        if not (e["type"] == "too_short" and any(_is_inside(other["loc"], e["loc"]) for other in details))
    ]
    return [
        {
            "field": ".".join(shorten(str(part)) for part in e["loc"]) or e.get("ctx", {}).get("field", ""),
            "message": _message(e, kind, model),
        }
        for e in wrong[:MAX_ERRORS]
    ]


def sentence(errors: Iterable[FieldError]) -> str:
    """Return the errors as a sentence, such as "size: must be a number; stepz: unknown field, did you mean steps?"."""
    text = "; ".join(f"{e['field']}: {e['message']}" if e["field"] else e["message"] for e in errors)
    return text if text.endswith("?") else f"{text}."


def shorten(name: str) -> str:
    """Return a name from a request as errors show it: cut off if it is long."""
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}..."


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean NAME?" with the most similar known name, or nothing."""
    similar = difflib.get_close_matches(name, list(known), 1) if len(name) <= _MAX_NAME else []
    return f", did you mean {similar[0]}?" if similar else ""


def message_for(error: ErrorDetails, *, kind: str) -> str:
    """Return the message for an error in a `kind`, such as a parameter; pydantic's own if there is no other."""
    if error["type"] == "extra_forbidden":
        return f"unknown {kind}"
    message = _MESSAGES.get(error["type"])
    if message is None:
        return error["msg"].removeprefix("Value error, ")
    return message.format_map({name: _format(value) for name, value in error.get("ctx", {}).items()})


def _message(error: ErrorDetails, kind: str, model: type[BaseModel]) -> str:
    message = message_for(error, kind=kind)
    if error["type"] == "extra_forbidden":
        return message + suggestion(str(error["loc"][-1]), _fields_at(model, error["loc"]))
    if error["type"] in _SHOWN_INPUTS and isinstance(error["input"], str | bool | int | float):
        shown = json.dumps(error["input"], ensure_ascii=False)
        return f"{message}, not {shown}" if len(shown) <= _MAX_SHOWN else message
    return message


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the names that the last part of a location could have."""
    models = [model]
    for part in location[:-1]:
        fields = [one.model_fields[part].annotation for one in models if part in one.model_fields]
        inner = [model for field in fields for model in _models_in(field)]
        models = inner or [model for model in models if _has_tag(model, part)] or models  # else an index
    return [name for one in models for name in one.model_fields]


def _has_tag(model: type[BaseModel], tag: int | str) -> bool:
    """Return whether a union selects this model by this value of a field, such as kind."""
    return any(tag in get_args(field.annotation) for field in model.model_fields.values())


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _is_inside(location: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(location) > len(outer) and location[: len(outer)] == outer


def _format(value: Any) -> Any:
    return f"{value:.10g}" if isinstance(value, int | float) else value
