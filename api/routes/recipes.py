"""What a job may ask for, so that a page can build its form from it."""

from typing import Any, Final

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from api.http.operations import Answer, operation
from api.http.serializers import answer
from shared.recipe import PRESETS, Recipe

routes = Blueprint("recipes", __name__)


class RecipesView(BaseModel):
    """The presets, and every knob with its bounds."""

    model_config = ConfigDict(serialize_by_alias=True)

    presets: dict[str, Recipe]
    recipe_schema: dict[str, Any] = Field(serialization_alias="schema", description="JSON Schema of a recipe.")
    knobs: tuple[str, ...] = Field(description="The few that matter most.")


_TOLD: Final = RecipesView(
    presets=PRESETS,
    recipe_schema=Recipe.model_json_schema(),
    knobs=("size", "steps", "style_weight", "optimizer"),
)


@routes.get("/v1/recipes")
@operation(Answer(200, "Presets and knobs.", RecipesView))
def get_recipes() -> Response:
    """Learn what a recipe may say."""
    return answer(_TOLD)
