"""The bodies of a submission, as the OpenAPI document describes them. `multipart.py` parses the form."""

from typing import Any, Final

from shared.imaging.images import ACCEPTED_FORMATS
from shared.jobs.job import WEBHOOK_EVENTS
from shared.jobs.metadata import MAX_KEY_LENGTH, MAX_KEYS, MAX_VALUE_LENGTH, METADATA_SCHEMA

FILE: Final = {"type": "string", "contentMediaType": "application/octet-stream"}
IMAGE_TYPES: Final = "image/jpeg, image/png, image/webp, image/gif, image/tiff, image/heic, image/avif"

BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "description": "In place of a file, an image may be text: the ID of an uploaded one, or an https URL "
                "that it is fetched from. Parts of one name are all files or all text.",
                "required": ["content", "style"],
                "additionalProperties": False,
                "properties": {
                    "content": FILE
                    | {
                        "description": f"The photo: {', '.join(ACCEPTED_FORMATS)} (HEIC). Not animated; any "
                        "color space.",
                    },
                    "style": {
                        "type": "array",
                        "minItems": 1,
                        "items": FILE,
                        "description": "The style image. Repeat the part to blend several.",
                    },
                    "style_mask": {
                        "type": "array",
                        "items": FILE,
                        "description": "Which part of a style image is used: one gray image for each style, in order, "
                        "white where it is used. Transparent parts of a style image are not used either.",
                    },
                    "content_mask": {
                        "type": "array",
                        "items": FILE,
                        "description": "Where the styles apply: one gray image for each style, in order, white where "
                        "it applies; or, for several styles, one image with a flat color for each, from dark to "
                        "bright. Where all masks are black, the photo remains.",
                    },
                    "init_image": FILE
                    | {
                        "description": "The image to start from, scaled to the photo's size; sets `init` to `image`.",
                    },
                    "init_job": {
                        "type": "string",
                        "description": "Instead of `init_image`: the ID of a job whose result to start from.",
                    },
                    "recipe": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": {"$ref": "#/components/schemas/Recipe"},
                        "description": "A preset by name and the fields that differ, or a preset's name alone; the "
                        "preset `default` if omitted.",
                        "examples": ['{"preset": "fast", "size": 384}'],
                    },
                    "tier": {
                        "type": "string",
                        "description": "One of EASEL_TIERS; by default the one that `GET /v1/queue` marks.",
                    },
                    "metadata": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": METADATA_SCHEMA,
                        "description": f"A JSON object of strings, which are kept with the job: at most {MAX_KEYS} "
                        f"keys of 1 to {MAX_KEY_LENGTH} characters, values of at most {MAX_VALUE_LENGTH}.",
                        "examples": ['{"order": "6735"}'],
                    },
                    "webhook_url": {
                        "type": "string",
                        "description": "The URL that receives the job's events, signed per Standard Webhooks.",
                        "examples": ["https://example.com/easel"],
                    },
                    "webhook_events": {
                        "type": "string",
                        "description": "A JSON array or a comma-separated list; by default all of "
                        f"{', '.join(WEBHOOK_EVENTS)}.",
                        "examples": ["job.succeeded,job.failed"],
                    },
                },
            },
            "encoding": {
                part: {"contentType": IMAGE_TYPES}
                for part in ("content", "style", "style_mask", "content_mask", "init_image")
            },
        },
        "application/json": {"schema": {"$ref": "#/components/schemas/JobSubmission"}},
    },
}
