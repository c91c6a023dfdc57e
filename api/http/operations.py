"""The decorator `operation`: documents a view for OpenAPI and validates its query parameters."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from flask import request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import EaselError, MalformedRequest
from shared.tenants.keys import Scope
from shared.validation_messages import field_errors, sentence

View = Callable[..., ResponseReturnValue]
_MEMBER: Final = re.compile(r"(\w+)\[(.+)\]", re.DOTALL)


class Query(BaseModel):
    """Query parameters. Unknown ones are refused: `?dry-run=1` must not submit a job.

    The members of an object are sent one by one, as in `?metadata[order]=6735` (OpenAPI's style `deepObject`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoQuery(Query):
    """No query parameters."""


@dataclass(frozen=True)
class ResponseDoc:
    """A successful response: a model as JSON, a stream of events, or another media type."""

    status: int
    description: str
    model: type[BaseModel] | None = None
    media: str | None = None
    headers: tuple[str, ...] = ()
    events: Any = None  # a class of easel/events.py, or a union of them


@dataclass(frozen=True)
class OperationDoc:
    """The documentation of a view, in addition to its docstring."""

    responses: tuple[ResponseDoc, ...]
    errors: tuple[type[EaselError], ...] = ()
    query: type[Query] = NoQuery
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    scope: Scope | None = None  # that a key needs; by default `read` for GET, else `jobs`


OPERATIONS: Final[dict[Any, OperationDoc]] = {}
"""By view; read by api/http/openapi.py."""


def operation(*responses: ResponseDoc, **options: Any) -> Callable[[View], View]:
    """Document a view with an OperationDoc. If it declares a query, the view receives it as `query=`."""
    doc = OperationDoc(responses, **options)

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def validated(**path: str) -> ResponseReturnValue:
            query = _parse_query(doc.query)
            return view(**path) if doc.query is NoQuery else view(**path, query=query)

        OPERATIONS[validated] = doc
        return validated

    return decorate


def _parse_query(model: type[Query]) -> Query:
    if not request.query_string:
        return model()
    values = request.args.to_dict(flat=False)
    repeated = sorted(name for name, all_values in values.items() if len(all_values) > 1)
    if repeated:
        raise MalformedRequest(f"Repeated query parameter: {', '.join(repeated)}. Send each one once.")
    try:
        return model.model_validate(_nest({name: value for name, (value,) in values.items()}))
    except ValidationError as error:
        errors = field_errors(error, kind="parameter", model=model)
        raise MalformedRequest(f"Invalid query parameter. {sentence(errors)}", errors=errors) from error


def _nest(values: dict[str, str]) -> dict[str, Any]:
    """Return {"metadata": {"order": "6735"}} for {"metadata[order]": "6735"}."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        member = _MEMBER.fullmatch(name)
        if member and member[1] not in values:
            nested.setdefault(member[1], {})[member[2]] = value
        else:
            nested[name] = value
    return nested
