"""The component schemas of the OpenAPI document: all models that responses, events and errors consist of."""

from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from api.http.batch_serializer import BatchUrls
from api.http.openapi_examples import add_examples
from api.http.operations import OperationDoc, ResponseDoc
from api.http.serializers import JobUrls
from api.http.submission_batch import BatchSubmission
from api.http.submission_json import JobSubmission
from easel.models import BatchStatus, JobStatus, Quote, Recipes
from shared.jobs.webhook import WebhookPayload
from shared.recipe import Recipe

REF_TEMPLATE: Final = "#/components/schemas/{model}"
_EXAMPLE: Final[dict[str, JsonValue]] = {
    "type": "/docs#image_too_small",
    "title": "Image too small",
    "status": 422,
    "detail": "The image has 20 x 20 pixels; each side must have at least 32.",
    "code": "image_too_small",
    "retryable": False,
    "instance": "/v1/jobs",
    "request_id": "0199c0de-0000-7000-8000-000000000001",
    "field": "style",
    "number": 0,
}


_RECIPE: Final = {"$ref": REF_TEMPLATE.format(model="Recipe")}
_SERVER_FIELDS: Final[tuple[tuple[type[BaseModel], str, dict[str, Any]], ...]] = (
    (JobStatus, "recipe", _RECIPE),
    (JobStatus, "urls", {"$ref": REF_TEMPLATE.format(model="JobUrls")}),
    (BatchStatus, "urls", {"$ref": REF_TEMPLATE.format(model="BatchUrls")}),
    (Quote, "recipe", _RECIPE),
    (Recipes, "presets", {"type": "object", "additionalProperties": _RECIPE}),
)
"""Fields that are plain objects in the client's models, which tolerate other versions of the service."""


class Problem(BaseModel):
    """An error per RFC 9457. Errors about an image have `field`, content or style, and `number`, the style's from 0."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_EXAMPLE]})

    type: str = Field(description="Link to the explanation of the code.")
    title: str = Field(description="The code in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened and what to do, for people.")
    code: str = Field(description="Stable, for programs.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    instance: str = Field(description="Path of the request.")
    request_id: str = Field(description="The header `X-Request-Id` of the response, by which its log lines are found.")


def ref(model: type[BaseModel]) -> str:
    """Return the reference to a component schema."""
    return REF_TEMPLATE.format(model=model.__name__)


def event_classes(doc: ResponseDoc) -> tuple[type[BaseModel], ...]:
    """Return the classes in the union `doc.events`, which may be annotated with its discriminator."""
    union = get_args(doc.events)[0] if get_origin(doc.events) is Annotated else doc.events
    return get_args(union) or ((union,) if union else ())


class _SchemaGenerator(GenerateJsonSchema):
    """Marks every field of a response as required: the API always sends all of them."""

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: FBT001 - pydantic's signature
        return self.mode == "serialization" or super().field_is_required(field, total)


def component_schemas(operations: list[OperationDoc]) -> dict[str, Any]:
    """Return the schemas of all responses and events, of submissions, and of enums in query parameters."""
    models: set[type[BaseModel]] = {Problem, WebhookPayload, Recipe, JobUrls, BatchUrls}
    for doc in operations:
        for response in doc.responses:
            models |= {response.model} if response.model else set(event_classes(response))
    modes: list[tuple[type[BaseModel], Any]] = [(model, "serialization") for model in models]
    modes += [(doc.query, "validation") for doc in operations] + [
        (model, "validation") for model in (JobSubmission, BatchSubmission)
    ]
    _, definitions = models_json_schema(
        sorted(modes, key=lambda pair: pair[0].__name__), ref_template=REF_TEMPLATE, schema_generator=_SchemaGenerator
    )
    queries = {doc.query.__name__ for doc in operations}
    schemas = {name: schema for name, schema in definitions.get("$defs", {}).items() if name not in queries}
    for name in ("Recipe", "Adam", "LBFGS"):  # they are a request, too, in which any field may be missing
        schemas[name].pop("required", None)
    for model, field, schema in _SERVER_FIELDS:
        properties = schemas[model.__name__]["properties"]
        properties[field] = {"description": properties[field]["description"], **schema}
    _describe(schemas)
    add_examples(schemas)
    return schemas


def _describe(schemas: dict[str, Any]) -> None:
    """Describe `kind` and `data` of events, and properties that are another schema, whose description fits them."""
    for schema in schemas.values():
        for name, one in schema.get("properties", {}).items():
            if name == "kind" and "const" in one:
                one.setdefault("description", "Selects the event: the field `event` of the stream.")
            for choice in (one, *one.get("anyOf", ())):
                if "$ref" in choice and "description" not in one:
                    one["description"] = schemas[choice["$ref"].rpartition("/")[2]]["description"]
