"""The bodies of a submission in the OpenAPI document. The parts of a form are the fields of the JSON."""

from typing import Any, Final

from api.http.submission_json import JobFields
from shared.jobs.job import WEBHOOK_EVENTS
from shared.jobs.metadata import METADATA_SCHEMA

FILE: Final = {"type": "string", "contentMediaType": "application/octet-stream"}
IMAGE_TYPES: Final = "image/jpeg, image/png, image/webp, image/gif, image/tiff, image/heic, image/avif"

_FILES: Final = {"type": "array", "items": FILE}
_JSON: Final = {"type": "string", "contentMediaType": "application/json"}
_IMAGES: Final[dict[str, dict[str, Any]]] = {
    "content": FILE,
    "style": {**_FILES, "minItems": 1},
    "style_mask": _FILES,
    "content_mask": _FILES,
    "init_image": FILE,
}
_TEXTS: Final[dict[str, dict[str, Any]]] = {
    "init_job": {"type": "string"},
    "recipe": {
        **_JSON,
        "contentSchema": {"$ref": "#/components/schemas/Recipe"},
        "examples": ['{"preset": "fast", "size": 384}'],
    },
    "tier": {"type": "string"},
    "metadata": {**_JSON, "contentSchema": METADATA_SCHEMA, "examples": ['{"order": "6735"}']},
    "webhook_url": {"type": "string", "examples": ["https://example.com/easel"]},
    "webhook_events": {
        "type": "string",
        "description": f"A JSON array or a comma-separated list; by default all of {', '.join(WEBHOOK_EVENTS)}.",
        "examples": ["job.succeeded,job.failed"],
    },
}


def _part(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with the description of the field of this name, or of its plural if the part is repeated."""
    field = JobFields.model_fields.get(name) or JobFields.model_fields[f"{name}s"]
    return {"description": field.description, **schema}


BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "description": "Repeat `style`, `style_mask` and `content_mask` for several images. In place of a "
                "file, an image may be text: the ID of an uploaded one, or an https URL that it is fetched from. Parts "
                "of one name are all files or all text.",
                "required": ["content", "style"],
                "additionalProperties": False,
                "properties": {name: _part(name, schema) for name, schema in (_IMAGES | _TEXTS).items()},
            },
            "encoding": {name: {"contentType": IMAGE_TYPES} for name in _IMAGES},
        },
        "application/json": {"schema": {"$ref": "#/components/schemas/JobSubmission"}},
    },
}
