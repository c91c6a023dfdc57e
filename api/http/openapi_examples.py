"""An example for every property of the OpenAPI document's schemas, and for every object as a whole."""

from typing import Any, Final

_ID: Final = "0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88"
_JOB: Final = f"/v1/jobs/{_ID}"
_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "string": {
        **dict.fromkeys(("id", "job", "request_id"), _ID),
        **dict.fromkeys(("self", "instance"), _JOB),
        **{name: f"{_JOB}/{name}" for name in ("events", "content", "init_image", "previews", "iterations")},
        **{name: f"{_JOB}/{name}" for name in ("timelapse", "preview", "result", "provenance", "cancel", "finish")},
        "url": f"{_JOB}/previews/12",
        "tier": "standard",
        "tenant": "acme",
        "caller": "key k3v9x2ab",
        "prefix": "k3v9x2ab",
        "key": f"easel_k3v9x2ab_{'0' * 43}",
        "address": "203.0.113.7",
        "name": "standard",
        "device": "cpu:2",
        "weights": "imagenet 3e19a2c1",
        "worker": "easel@host-17",
        "code": "out_of_memory",
        "title": "Out of memory",
        "detail": "The job needs more memory than the worker has.",
        "type": "/docs#out_of_memory",
        "error": "connection refused",
        "event": "job.succeeded",
        "csrf_token": "b8c1f0",
        "next_cursor": "WyIwMTk5Il0.c2ln",
    },
    "integer": {"status": 200, "total": 30, "width": 384, "height": 256, "step": 12},
    "number": {"p50": 77.5, "p90": 90, "total": 30},
    "array": {"styles": [f"{_JOB}/styles/0"], "content_masks": [f"{_JOB}/content_masks/0"]},
    "object": {"metadata": {"order": "6735"}, "schema": {"type": "object"}},
}
"""By type and the names of properties, if the type alone does not give an example that says something."""
_OF_TYPES: Final[dict[str, Any]] = {
    "string": "text",
    "integer": 1,
    "number": 0.5,
    "boolean": True,
    "null": None,
    "object": {},
    "date-time": "2026-11-28T12:00:00Z",
}


def add_examples(schemas: dict[str, Any]) -> None:
    """Add `examples` to every property and every object that has none. They validate against the schemas."""
    for schema in schemas.values():
        for name, one in schema.get("properties", {}).items():
            one.setdefault("examples", [_example(name, one, schemas)])
        if "properties" in schema:
            schema.setdefault("examples", [_object(schema, schemas)])


def _object(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    return {name: _example(name, one, schemas) for name, one in schema["properties"].items()}


def _example(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    fixed = [*schema.get("examples", ()), *(schema[one] for one in ("const", "default") if schema.get(one) is not None)]
    fixed += schema.get("enum", ())
    if fixed:
        return fixed[0]
    if reference := schema.get("$ref"):
        named = schemas[reference.rpartition("/")[2]]
        return _object(named, schemas) if "properties" in named else named["enum"][0]
    if choices := schema.get("anyOf", schema.get("oneOf")):
        return _example(name, choices[0], schemas)
    return _of_type(name, schema, schemas)


def _of_type(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    kind, items = schema.get("format", schema["type"]), schema.get("items", {})
    if name in (named := _EXAMPLES.get(kind, {})) and "$ref" not in items:
        return named[name]
    if items:
        return [_example(name, items, schemas)]
    if isinstance(values := schema.get("additionalProperties"), dict):
        return {"name": _example("", values, schemas)}
    return _OF_TYPES[kind]
