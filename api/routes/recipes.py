"""The presets and the schema of recipes, from which the studio page builds its form."""

from typing import Final

from flask import Blueprint, Response

from api.http.operations import ResponseDoc, operation
from api.http.serializers import json_response
from easel.models import Recipes
from shared.presets import PRESETS, SIZES
from shared.recipe import Recipe

routes = Blueprint("recipes", __name__)

_RECIPES: Final = Recipes(
    presets={name: recipe.model_dump(mode="json") for name, recipe in PRESETS.items()},
    schema=Recipe.model_json_schema(),
    featured=["size", "steps", "style_weight", "color"],
    sizes=SIZES,
)


@routes.get("/v1/recipes")
@operation(ResponseDoc(200, "Presets and the schema of recipes.", Recipes))
def get_recipes() -> Response:
    """Get all presets, and the schema of a recipe."""
    return json_response(_RECIPES)
