"""OpenAPI 3.1, put together from what stands beside each view, so that the two cannot drift apart."""

import re
from itertools import groupby
from typing import Any, Final

from flask import Flask
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.json_schema import models_json_schema

from api.http import session_cookie
from api.http.operations import DESCRIBED, Answer, Operation, Query
from api.http.problems import MEDIA_TYPE, title
from easel import __version__
from shared.errors import (
    BlobsUnavailable,
    CsrfFailed,
    EaselError,
    Forbidden,
    InvalidJobId,
    JobNotFound,
    LedgerLost,
    LedgerReadOnly,
    LedgerUnavailable,
    MalformedRequest,
    Unauthorized,
)
from shared.jobs.webhook import Notice

_REF: Final = "#/components/schemas/{model}"
_EVERYWHERE: Final = (Unauthorized, Forbidden, CsrfFailed, MalformedRequest, EaselError)
_BEHIND_THE_LEDGER: Final = (LedgerUnavailable, LedgerReadOnly, LedgerLost, BlobsUnavailable)
_OF_ONE_JOB: Final = (InvalidJobId, JobNotFound)


_IN_PATHS: Final[dict[str, dict[str, Any]]] = {
    "job_id": {"type": "string", "format": "uuid"},
    "number": {"type": "integer", "minimum": 0},
    "step": {"type": "integer", "minimum": 0},
    "tier": {"type": "string"},
    "name": {"type": "string"},
}
"""What may stand in an address, by the name that the views give it."""

_OF_PAGES: Final = "For pages, after `POST /v1/session`; what changes something then needs `X-CSRF-Token`, too."

_EXAMPLE: Final[dict[str, JsonValue]] = {
    "type": "/docs#image_too_small",
    "title": "Image too small",
    "status": 422,
    "detail": "The image has 20 x 20 pixels; each side must have at least 32.",
    "code": "image_too_small",
    "retryable": False,
    "instance": "/v1/jobs",
    "field": "style",
    "number": 0,
}


class Problem(BaseModel):
    """RFC 9457. Of an image it says which: `field` is content or style; `number`, of the styles, begins at 0."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_EXAMPLE]})

    type: str = Field(description="Where the code is explained.")
    title: str
    status: int
    detail: str = Field(description="What happened and what to do, for a person.")
    code: str = Field(description="Stable; for programs.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    instance: str


def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of this app."""
    rules = [(rule, DESCRIBED.get(app.view_functions[rule.endpoint])) for rule in app.url_map.iter_rules()]
    operations = [(rule, found) for rule, found in rules if found]
    paths: dict[str, dict[str, Any]] = {}
    for rule, found in operations:
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            paths.setdefault(path, {})[method.lower()] = _operation(app, rule, found)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Easel",
            "version": __version__,
            "summary": "Neural style transfer as a service.",
            "description": "Submit a photo and a painting, watch the picture emerge, fetch it. "
            "Errors are application/problem+json (RFC 9457) with a stable code.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}, {"session": []}, {}],
        "paths": paths,
        "webhooks": {"job": {"post": _webhook()}},
        "components": {
            "schemas": _schemas([found for _, found in operations]),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "Needed where EASEL_API_KEYS is set."},
                "session": {"type": "apiKey", "in": "cookie", "name": session_cookie.NAME, "description": _OF_PAGES},
            },
        },
    }


def codes() -> list[type[EaselError]]:
    """Every kind of error that has a code of its own, by status and code."""
    found: set[type[EaselError]] = set()
    unseen = [EaselError]
    while unseen:
        kind = unseen.pop()
        unseen += kind.__subclasses__()
        if "code" in vars(kind):
            found.add(kind)
    return sorted(found, key=_rank)


def _rank(kind: type[EaselError]) -> tuple[int, str]:
    return kind.status, kind.code


def _operation(app: Flask, rule: Any, found: Operation) -> dict[str, Any]:
    summary, _, description = (app.view_functions[rule.endpoint].__doc__ or "").partition("\n")
    shape: dict[str, Any] = {
        "operationId": rule.endpoint.rpartition(".")[2],
        "summary": summary.rstrip("."),
        "description": re.sub(r"\n {4}", "\n", description).strip(),
        "parameters": [*_path_parameters(rule), *_query_parameters(found.query), *_header_parameters(found.headers)],
        "responses": _responses(found.answers) | _problems(rule, found.errors),
    }
    if found.body:
        shape["requestBody"] = found.body
    return shape


def _path_parameters(rule: Any) -> list[dict[str, Any]]:
    names = sorted(rule.arguments)
    return [{"name": name, "in": "path", "required": True, "schema": _IN_PATHS[name]} for name in names]


def _query_parameters(query: type[Query]) -> list[dict[str, Any]]:
    schema = query.model_json_schema(ref_template=_REF)
    return [
        {"name": name, "in": "query", "description": one.pop("description", ""), "schema": _without_null(one)}
        for name, one in schema.get("properties", {}).items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out cannot be null: an address has no null."""
    choices: list[dict[str, Any]] = schema.pop("anyOf", [])
    chosen = next((choice for choice in choices if choice.get("type") != "null"), {})
    return chosen | {name: value for name, value in schema.items() if value is not None}


def _header_parameters(headers: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string", "maxLength": 255}}
        for name, text in headers.items()
    ]


def _responses(answers: tuple[Answer, ...]) -> dict[str, Any]:
    """By status; where two have the same, their media types stand side by side."""
    shapes: dict[str, Any] = {}
    for one in answers:
        status, shape = str(one.status), _response(one)
        if earlier := shapes.get(status):
            shape["description"] = f"{earlier['description']} {shape['description']}"
            shape["content"] = {**earlier["content"], **shape["content"]}
        shapes[status] = shape
    return shapes


def _response(answer: Answer) -> dict[str, Any]:
    shape: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        shape["headers"] = {name: {"schema": {"type": "string"}} for name in answer.headers}
    if answer.model:
        shape["content"] = {"application/json": {"schema": {"$ref": _REF.format(model=answer.model.__name__)}}}
    elif answer.media:
        shape["content"] = {answer.media: {"schema": _shape(answer.media)}}
    return shape


def _shape(media: str) -> dict[str, Any]:
    """What little can be said of a body without a model; OpenAPI 3.1 says nothing of raw bytes."""
    if media == "application/json":
        return {"type": "object"}
    return {"type": "string"} if media.startswith("text/") else {}


def _problems(rule: Any, errors: tuple[type[EaselError], ...]) -> dict[str, Any]:
    kinds: set[type[EaselError]] = {*errors, *_EVERYWHERE}
    kinds |= set(_BEHIND_THE_LEDGER) if rule.rule.startswith("/v1/") else set()
    kinds |= set(_OF_ONE_JOB) if "job_id" in rule.arguments else set()
    ordered = sorted(kinds, key=_rank)
    by_status = groupby(ordered, key=lambda kind: kind.status)
    return {str(status): _problem_response(list(same)) for status, same in by_status}


def _problem_response(kinds: list[type[EaselError]]) -> dict[str, Any]:
    only_these = {"properties": {"code": {"enum": [kind.code for kind in kinds]}}}
    schema = {"allOf": [{"$ref": _REF.format(model="Problem")}, only_these]}
    description = "; ".join(f"{title(kind)} (`{kind.code}`)" for kind in kinds)
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


def _webhook() -> dict[str, Any]:
    """The one request that this service sends."""
    headers = {
        "webhook-id": "Of the event: the same at every try, so that you know what you have had.",
        "webhook-timestamp": "When this try was made, in seconds since the epoch.",
        "webhook-signature": "v1 signatures of https://www.standardwebhooks.com, one for each secret.",
    }
    answers = {
        "2XX": "It arrived; anything else is tried again, for three days.",
        "410": "This job's webhook is told nothing more.",
    }
    return {
        "operationId": "job_webhook",
        "summary": "Hear what happened to a job",
        "description": "Sent to the `webhook_url` of a job, at least once for each event; the order is not promised.",
        "parameters": _header_parameters(headers),
        "requestBody": {"content": {"application/json": {"schema": {"$ref": _REF.format(model=Notice.__name__)}}}},
        "responses": {status: {"description": text} for status, text in answers.items()},
    }


def _schemas(operations: list[Operation]) -> dict[str, Any]:
    """Every model that is answered; a query's own enums lie in its parameters' references."""
    models: set[type[BaseModel]] = {one.model for found in operations for one in found.answers if one.model} | {
        Problem,
        Notice,
    }
    wanted: list[tuple[type[BaseModel], Any]] = [(model, "serialization") for model in models]
    wanted += [(found.query, "validation") for found in operations]
    _, definitions = models_json_schema(sorted(wanted, key=lambda pair: pair[0].__name__), ref_template=_REF)
    queries = {found.query.__name__ for found in operations}
    return {name: schema for name, schema in definitions.get("$defs", {}).items() if name not in queries}
