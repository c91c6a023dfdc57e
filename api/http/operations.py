"""What stands beside each view: how it can be answered, and what its address may say."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from flask import request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import EaselError, MalformedRequest
from shared.validation_messages import in_words

View = Callable[..., ResponseReturnValue]


class Query(BaseModel):
    """Parameters behind the question mark. Unknown ones are refused: `?dry-run=1` must not submit a job."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoQuery(Query):
    """None."""


@dataclass(frozen=True)
class Answer:
    """One way a call can succeed: a model as JSON, or `media` of another type."""

    status: int
    description: str
    model: type[BaseModel] | None = None
    media: str | None = None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """What the document says of one view, beyond its docstring."""

    answers: tuple[Answer, ...]
    errors: tuple[type[EaselError], ...] = ()
    query: type[Query] = NoQuery
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None


DESCRIBED: Final[dict[Any, Operation]] = {}
"""By view; read by api/http/openapi.py."""


def operation(*answers: Answer, **parts: Any) -> Callable[[View], View]:
    """Document a view, and hand it its query as `query=` where it declares one."""
    described = Operation(answers, **parts)

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def checked(**path: str) -> ResponseReturnValue:
            query = _read(described.query)
            return view(**path) if described.query is NoQuery else view(**path, query=query)

        DESCRIBED[checked] = described
        return checked

    return decorate


def _read(model: type[Query]) -> Query:
    if not request.query_string:
        return model()
    values = request.args.to_dict(flat=False)
    doubled = sorted(name for name, several in values.items() if len(several) > 1)
    if doubled:
        raise MalformedRequest(f"Give the parameter {', '.join(doubled)} once.")
    try:
        return model.model_validate({name: value for name, (value,) in values.items()})
    except ValidationError as error:
        found = [
            {"field": ".".join(map(str, e["loc"])), "message": in_words(e, kind="parameter")} for e in error.errors()
        ]
        said = "; ".join(f"{e['field']}: {e['message']}" for e in found)
        raise MalformedRequest(f"The address has a wrong parameter: {said}.", errors=found) from error
