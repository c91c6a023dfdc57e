"""Generates the OpenAPI 3.1 document from the documentation next to each view, so that the two cannot drift apart."""

import re
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from flask import Flask

from api.http import request_id, session_cookie
from api.http.openapi_schemas import REF_TEMPLATE, Problem, component_schemas, event_classes, ref
from api.http.openapi_tags import tag_of, tags_in
from api.http.operations import OPERATIONS, OperationDoc, Query, ResponseDoc
from api.http.problems import MEDIA_TYPE, error_title
from easel import __version__
from shared.errors import (
    BatchNotFound,
    CsrfFailed,
    EaselError,
    Forbidden,
    InsufficientScope,
    InvalidJobId,
    JobNotFound,
    LedgerLost,
    LedgerReadOnly,
    LedgerUnavailable,
    MalformedRequest,
    RateLimited,
    StorageUnavailable,
    Unauthorized,
)
from shared.jobs.webhook import WebhookPayload

_ALWAYS: Final = (Unauthorized, Forbidden, CsrfFailed, InsufficientScope, RateLimited, MalformedRequest, EaselError)
_WITH_LEDGER: Final = (LedgerUnavailable, LedgerReadOnly, LedgerLost, StorageUnavailable)
_WITH_JOB_ID: Final = (InvalidJobId, JobNotFound)


_PATH_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "job_id": {"type": "string", "format": "uuid", "description": "The job's ID."},
    "batch_id": {"type": "string", "format": "uuid", "description": "The batch's ID."},
    "image_id": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "description": "The uploaded image's ID."},
    "number": {"type": "integer", "minimum": 0, "description": "The number of the image, from 0."},
    "step": {"type": "integer", "minimum": 0, "description": "The number of steps done."},
    "prefix": {"type": "string", "pattern": "^[a-z0-9]{8}$", "description": "The key's prefix."},
    "tier": {"type": "string", "description": "One of EASEL_TIERS."},
    "name": {"type": "string", "description": "The file's path."},
    "picture": {
        "type": "string",
        "examples": ["result.png", "result.jpeg", "preview.jpeg"],
        "description": "The file's name.",
    },
}
"""Schemas of path parameters, by their name in the routes."""

_REQUEST_ID: Final = {request_id.HEADER: {"$ref": f"#/components/headers/{request_id.HEADER}"}}
_REQUEST_ID_DESCRIPTION: Final = (
    "The ID of the request in the service's log. A request may set it: 1 to 128 printable ASCII characters, no spaces."
)
_SESSION_DESCRIPTION: Final = (
    "For pages, after `POST /v1/session`. All requests but GET and HEAD need the header `X-CSRF-Token` too."
)
_SSE_DESCRIPTION: Final = (
    "Server-sent events. Each event is the lines `id: ID` (only of stored events), `event: KIND` and `data: JSON`, "
    "and a blank line. The schema describes the object with the members `id`, `kind` and `data`. Lines that begin with "
    "a colon are comments."
)


def document(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document of this app."""
    rules = [(rule, OPERATIONS.get(app.view_functions[rule.endpoint])) for rule in app.url_map.iter_rules()]
    operations = [(rule, doc) for rule, doc in rules if doc]
    paths: dict[str, dict[str, Any]] = {}
    for rule, doc in operations:
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            paths.setdefault(path, {})[method.lower()] = _operation(app, rule, doc)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Easel",
            "version": __version__,
            "summary": "Neural style transfer as a service.",
            "description": "Submit a photo and style images, follow the job's progress, and get the result. "
            "Errors are application/problem+json (RFC 9457) with a stable code. Every response has the header "
            "`X-Request-Id`, by which the log lines of its request and its job are found.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}, {"session": []}, {}],
        "tags": tags_in(paths),
        "paths": paths,
        "webhooks": {"job": {"post": _webhook()}},
        "components": {
            "schemas": component_schemas([doc for _, doc in operations]),
            "headers": {request_id.HEADER: {"description": _REQUEST_ID_DESCRIPTION, "schema": {"type": "string"}}},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "Required if there are any keys."},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": session_cookie.NAME,
                    "description": _SESSION_DESCRIPTION,
                },
            },
        },
    }


def error_classes() -> list[type[EaselError]]:
    """Return all classes of errors that have a code of their own, by status and code."""
    classes, queue = set[type[EaselError]](), [EaselError]
    while queue:
        error = queue.pop()
        queue += error.__subclasses__()
        if "code" in vars(error):
            classes.add(error)
    return sorted(classes, key=attrgetter("status", "code"))


def _operation(app: Flask, rule: Any, doc: OperationDoc) -> dict[str, Any]:
    summary, _, description = (app.view_functions[rule.endpoint].__doc__ or "").partition("\n")
    operation: dict[str, Any] = {
        "operationId": rule.endpoint.rpartition(".")[2],
        "tags": [tag_of(rule.endpoint)],
        "summary": summary.rstrip("."),
        "description": re.sub(r"\n {4}", "\n", description).strip(),
        "parameters": [*_path_parameters(rule), *_query_parameters(doc.query), *_header_parameters(doc.headers)],
        "responses": _responses(doc.responses) | _problems(rule, doc.errors),
    }
    if doc.body:
        operation["requestBody"] = doc.body
    return operation


def _path_parameters(rule: Any) -> list[dict[str, Any]]:
    schemas = {name: dict(_PATH_SCHEMAS[name]) for name in sorted(rule.arguments)}
    return [
        {"name": name, "in": "path", "required": True, "description": schema.pop("description"), "schema": schema}
        for name, schema in schemas.items()
    ]


def _query_parameters(query: type[Query]) -> list[dict[str, Any]]:
    schema = query.model_json_schema(ref_template=REF_TEMPLATE)
    return [
        {
            "name": name,
            "in": "query",
            "description": field.pop("description", ""),
            **({"style": "deepObject", "explode": True} if field.get("type") == "object" else {}),
            "schema": _without_null(field),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without null: an optional query parameter is omitted, not null."""
    choices: list[dict[str, Any]] = schema.pop("anyOf", [])
    chosen = next((choice for choice in choices if choice.get("type") != "null"), {})
    return chosen | {name: value for name, value in schema.items() if value is not None}


def _header_parameters(headers: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string", "maxLength": 255}}
        for name, text in headers.items()
    ]


def _responses(docs: tuple[ResponseDoc, ...]) -> dict[str, Any]:
    """Return the responses by status; two with the same status are merged into one with two media types."""
    responses: dict[str, Any] = {}
    for doc in docs:
        status, response = str(doc.status), _response(doc)
        if earlier := responses.get(status):
            texts = dict.fromkeys((earlier["description"], response["description"]))
            response["description"] = " ".join(texts).rstrip()
            response["content"] = {**earlier["content"], **response["content"]}
        responses[status] = response
    return responses


def _response(doc: ResponseDoc) -> dict[str, Any]:
    headers = {name: {"schema": {"type": "string"}} for name in doc.headers}
    response: dict[str, Any] = {"description": doc.description, "headers": headers | _REQUEST_ID}
    if doc.model:
        response["content"] = {"application/json": {"schema": {"$ref": ref(doc.model)}}}
    elif doc.events:
        schema = {"description": _SSE_DESCRIPTION, "oneOf": [{"$ref": ref(event)} for event in event_classes(doc)]}
        response["content"] = {doc.media: {"schema": schema}}
    elif doc.media:
        response["content"] = {doc.media: {"schema": _body_schema(doc.media)}}
    return response


def _body_schema(media: str) -> dict[str, Any]:
    """Return the schema of a body without a model. OpenAPI 3.1 has none for raw bytes."""
    if media == "application/json":
        return {"type": "object"}
    return {"type": "string"} if media.startswith("text/") else {}


def _problems(rule: Any, errors: tuple[type[EaselError], ...]) -> dict[str, Any]:
    classes: set[type[EaselError]] = {*errors, *_ALWAYS}
    classes |= set(_WITH_LEDGER) if rule.rule.startswith("/v1/") else set()
    classes |= set(_WITH_JOB_ID) if "job_id" in rule.arguments else set()
    classes |= {BatchNotFound} if "batch_id" in rule.arguments else set()
    by_status = groupby(sorted(classes, key=attrgetter("status", "code")), key=attrgetter("status"))
    return {str(status): _problem_response(list(group)) for status, group in by_status}


def _problem_response(classes: list[type[EaselError]]) -> dict[str, Any]:
    codes = {"properties": {"code": {"enum": [error.code for error in classes]}}}
    schema = {"allOf": [{"$ref": ref(Problem)}, codes]}
    description = "; ".join(f"{error_title(error)} (`{error.code}`)" for error in classes)
    return {"description": description, "headers": _REQUEST_ID, "content": {MEDIA_TYPE: {"schema": schema}}}


def _webhook() -> dict[str, Any]:
    """Return the documentation of the request that this service sends."""
    headers = {
        "webhook-id": "The event's ID, the same in every attempt. Use it to ignore duplicates.",
        "webhook-timestamp": "The time of this attempt, in seconds since the epoch.",
        "webhook-signature": "v1 signatures per https://www.standardwebhooks.com, one per secret.",
    }
    responses = {
        "2XX": "Delivered. After any other response the event is sent again, for up to three days.",
        "410": "The job's webhook is disabled.",
    }
    return {
        "operationId": "job_webhook",
        "tags": ["Webhooks"],
        "summary": "Receive an event of a job",
        "description": "Sent to the job's `webhook_url`, at least once per event, in no particular order.",
        "parameters": _header_parameters(headers),
        "requestBody": {"content": {"application/json": {"schema": {"$ref": ref(WebhookPayload)}}}},
        "responses": {status: {"description": text} for status, text in responses.items()},
    }
