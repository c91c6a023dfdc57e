"""The presets, and recipes made from them."""

import json
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from shared.errors import InvalidRecipe
from shared.recipe import DEFAULT_CONTENT_LAYERS, LBFGS, Adam, Recipe, Stage
from shared.recipe_effects import fields_without_effect
from shared.validation_messages import field_errors, sentence, shorten, suggestion

_MAX_HISTORY_BYTES: Final = 512 * 2**20
_MIN_HISTORY: Final = 3
_EXACT: Final = 2**53  # floats below are exact integers
_CALIBRATED_PADDING: Final = 24  # pixels; 16 leave some speckle

_PAINTERLY: Final[dict[str, Any]] = {
    "init": "patches",  # lays large strokes, which evaluations from the content find only slowly
    "style_layers": {
        "block1_conv1": 0.15,
        "block2_conv1": 0.2,
        "block3_conv1": 0.25,
        "block4_conv1": 0.25,
        "block5_conv1": 0.15,
    },
    "style_weight": 20,
    "variation_weight": 3,
    "chroma_variation": 8,  # speckle is colorful, strokes are not
    "pooling": "max",  # `average` makes longer strokes, but a four-pixel grid in flat areas
    "padding": 8,
}
"""Common to all presets but `tutorial`. Chosen by eye from many results, mostly at 384 pixels."""

PRESETS: Final = {
    "default": Recipe(preset="default", size=384, steps=55, **_PAINTERLY),
    "gentle": Recipe(preset="gentle", size=384, steps=55, content_weight=10, **_PAINTERLY),
    # Draws, too, because evaluations at half the size change large forms.
    "strong": Recipe(
        preset="strong",
        size=384,
        steps=110,
        stages=(Stage(scale=0.5, share=0.6), Stage(scale=1, share=0.4)),
        content_weight=0.5,
        **_PAINTERLY,
    ),
    "fast": Recipe(preset="fast", size=256, steps=15, **_PAINTERLY),
    "patches": Recipe(preset="patches", size=384, steps=0, **_PAINTERLY),
    # TensorFlow's "Neural style transfer" tutorial, constant for constant.
    "tutorial": Recipe(
        preset="tutorial",
        size=512,
        steps=1000,
        content_layers={"block5_conv2": 1.0},
        style_layers={f"block{block}_conv1": 0.2 for block in range(1, 6)},
        content_weight=1e4,
        style_weight=1e-2,
        variation_weight=30,
        normalize=False,
        optimizer=Adam(),
    ),
}

SIZES: Final = {"small": 256, "medium": 384, "large": 768, "print": 2400}
"""What the studio offers, in pixels. A print of 2400 is 20 cm long at 300 dpi."""


def resolve(fields: dict[str, Any]) -> Recipe:
    """Return the preset named by `fields["preset"]`, or `default`, updated with the other fields, which are JSON.

    Raises InvalidRecipe, with `errors=[{"field", "message"}, ...]`, also for values other than the preset's that cannot
    have an effect.
    """
    name = fields.get("preset", "default")
    base = PRESETS.get(name) if isinstance(name, str) else None
    if base is None:
        hint = suggestion(str(name), PRESETS)
        raise InvalidRecipe(
            f"Unknown preset {shorten(repr(name))}{hint or '.'} The presets are {', '.join(PRESETS)}.",
            errors=[{"field": "preset", "message": f"unknown preset{hint}"}],
        )
    try:
        # From JSON, because strict validation of Python's types refuses a list for a tuple.
        text = json.dumps({**base.model_dump(), **_with_integers(fields)}, default=BaseModel.model_dump)
        recipe = Recipe.model_validate_json(text, strict=True, extra="forbid")
    except RecursionError as error:
        raise InvalidRecipe("The recipe is nested too deeply.", errors=[]) from error
    except ValidationError as error:
        problems = field_errors(error, kind="parameter", model=Recipe)
        raise InvalidRecipe(f"Invalid recipe: {sentence(problems)}", errors=problems) from error
    _check_effects(recipe, base)
    return recipe if "optimizer" in fields else _with_limited_history(recipe)


def _check_effects(recipe: Recipe, base: Recipe) -> None:
    """Raise InvalidRecipe for fields that were changed without an effect.

    Clients may send complete recipes, so what a field has anyway is accepted.
    """
    limited = _with_limited_history(base.model_copy(update={"size": recipe.size}))
    problems = [
        {"field": field, "message": reason}
        for field, reason in fields_without_effect(recipe).items()
        if getattr(recipe, field) not in (getattr(base, field), getattr(limited, field))
    ]
    if problems:
        raise InvalidRecipe(f"Invalid recipe: {sentence(problems)}", errors=problems)


def _with_integers(value: Any) -> Any:
    """Return the JSON with 512 for 512.0: JSON has one type of numbers."""
    if isinstance(value, dict):
        return {name: _with_integers(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_with_integers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value


def with_size(recipe: Recipe, size: int) -> Recipe:
    """Return what `resolve` would return for the same fields with another `size`."""
    scaled = recipe.model_copy(update={"size": size})
    default = {"optimizer": LBFGS()}
    if recipe != _with_limited_history(recipe.model_copy(update=default)):
        return scaled  # the optimizer was chosen explicitly
    return _with_limited_history(scaled.model_copy(update=default))


BETTER_WEIGHTS: Final = (
    "VGG19's ImageNet weights give better images: with a network, start the workers once with EASEL_WEIGHTS=imagenet; "
    "without one, copy Keras' file to them and set EASEL_WEIGHTS to its path."
)
"""What to tell people whose image is rendered with calibrated weights."""


def adapted_to_weights(recipe: Recipe, weights_source: str) -> Recipe:
    """Return the recipe to render with these weights.

    Calibrated filters represent objects less well than ImageNet's, so unless the client chose content
    layers, the content is taken from a shallower layer, with three times the weight. They respond strongly to the zeros
    beyond an edge, which makes speckle there, so more is rendered around the image.
    """
    if weights_source != "calibrated" or not recipe.normalize or recipe.content_layers != DEFAULT_CONTENT_LAYERS:
        return recipe
    return recipe.model_copy(
        update={
            "content_layers": {"block3_conv2": 1.0},
            "content_weight": 3 * recipe.content_weight,
            "padding": max(recipe.padding, _CALIBRATED_PADDING),
        }
    )


def _with_limited_history(recipe: Recipe) -> Recipe:
    """Limit the history of large images: each pair is two images, in memory and in every checkpoint."""
    if not isinstance(recipe.optimizer, LBFGS):
        return recipe
    pairs = _MAX_HISTORY_BYTES // (2 * 3 * 4 * recipe.size**2)
    history = max(_MIN_HISTORY, min(recipe.optimizer.history, pairs))
    return recipe.model_copy(update={"optimizer": LBFGS(history=history)})
