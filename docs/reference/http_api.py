"""The HTTP API's reference page, from the OpenAPI document."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from markdown import code, page, paragraph, table, values

from api.http.problems import MEDIA_TYPE

Code = tuple[str, str]
"""A status and an error code."""


def http_api(api: dict[str, Any]) -> str:
    """Return the page for this OpenAPI document."""
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in api["paths"].items()
        for method, operation in methods.items()
    ]
    common = set.intersection(*(_codes(operation) for name, operation in operations if "/v1/" in name))
    return page(
        "HTTP API",
        "Generated from the OpenAPI document, which a running service serves at `/openapi.json` and, for people, at "
        "`/docs`. With `EASEL_API_KEYS` set, send `Authorization: Bearer KEY`.",
        "Every response has the header `X-Request-Id`, and every error the member `request_id`: the ID of the request "
        "in the service's log, and of the log lines of the job that it submits. A request may set the header itself, "
        "with 1 to 128 printable ASCII characters, no spaces.",
        f"Any call under `/v1` can also fail with {_list(common)}; see [Error codes](errors.md).",
        *("\n\n".join(filter(None, _operation(name, one, common))) for name, one in operations),
        "## Webhook request\n\n" + _webhook(api["webhooks"]["job"]["post"]),
        "## Objects",
        *(f"### {name}\n\n{_object(schema)}" for name, schema in api["components"]["schemas"].items()),
    )


def _operation(name: str, operation: dict[str, Any], common: set[Code]) -> Iterator[str]:
    yield f"## {name}"
    yield f"{operation['summary']}."
    yield operation["description"]
    if operation["parameters"]:
        yield table(("parameter", "in", "values", "meaning"), map(_parameter, operation["parameters"]))
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        is_reference = "$ref" in media["schema"]
        yield f"Body: `{kind}`" + (f", {values(media['schema'])}." if is_reference else ".")
        yield "" if is_reference else _object(media["schema"], "required")
    responses = [item for item in operation["responses"].items() if item[0] < "400"]
    yield table(("status", "response"), map(_response, responses))
    if errors := _codes(operation) - common:
        yield f"Errors: {_list(errors)}."


def _codes(operation: dict[str, Any]) -> set[Code]:
    """Return the (status, code) pairs of an operation's errors."""
    schemas = {
        status: media["schema"]["allOf"][1]
        for status, response in operation["responses"].items()
        for kind, media in response.get("content", {}).items()
        if kind == MEDIA_TYPE
    }
    return {(status, name) for status, schema in schemas.items() for name in schema["properties"]["code"]["enum"]}


def _list(errors: set[Code]) -> str:
    by_status = groupby(sorted(errors), key=itemgetter(0))
    return "; ".join(f"{status} {', '.join(code(name) for _, name in same)}" for status, same in by_status)


def _parameter(one: dict[str, Any]) -> tuple[str, ...]:
    name = f"{one['name']}[…]" if one.get("style") == "deepObject" else one["name"]
    return code(name), one["in"], values(one["schema"]), paragraph(one.get("description"))


def _response(item: tuple[str, dict[str, Any]]) -> tuple[str, str]:
    status, response = item
    schemas = [media.get("schema", {}).get("$ref", "") for media in response.get("content", {}).values()]
    models = [schema.rpartition("/")[2] for schema in schemas if schema]
    return status, " ".join([response["description"], *(f"[{model}](#{model.lower()})" for model in models)])


def _object(schema: dict[str, Any], required: str = "always") -> str:
    if "enum" in schema:
        return f"{paragraph(schema.get('description'))} {values(schema)}".strip()
    names = schema.get("required", [])
    rows = [
        (code(name), values(one), "yes" if name in names else "", paragraph(one.get("description")))
        for name, one in schema.get("properties", {}).items()
    ]
    return f"{paragraph(schema.get('description'))}\n\n{table(('field', 'values', required, 'meaning'), rows)}".strip()


def _webhook(operation: dict[str, Any]) -> str:
    responses = [(status, one["description"]) for status, one in operation["responses"].items()]
    return "\n\n".join(
        [
            operation["description"],
            table(("header", "in", "values", "meaning"), map(_parameter, operation["parameters"])),
            table(("your response", "effect"), responses),
        ]
    )
