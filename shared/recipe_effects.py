"""Options of a recipe that cannot have an effect in it, because another option excludes them."""

from collections.abc import Iterator, Mapping
from typing import Final

from shared.recipe import Recipe

_EVALUATION_FIELDS: Final = (
    *("content_layers", "style_layers", "style_loss", "match_weight", "content_weight", "style_weight"),
    *("variation_weight", "chroma_variation", "normalize", "pooling", "padding", "averaging", "optimizer"),
)
"""What only evaluations use: the objective and its optimizer."""


def fields_without_effect(recipe: Recipe) -> Mapping[str, str]:
    """Return the fields that have no effect, whatever their value, with the reason and the fix: the end of a sentence.

    Weights of 0 and a `seed` exclude nothing: scripts set them without a look at the others.
    """
    return dict(_reasons(recipe))


def _reasons(recipe: Recipe) -> Iterator[tuple[str, str]]:
    if not recipe.normalize:
        yield "chroma_variation", "has no effect without normalize; leave it out, or set normalize to true"
    if recipe.color == "style":
        yield "color_strength", "has no effect with color style; leave it out, or set color to content or match"
    if recipe.save_every > recipe.total_steps:
        fix = f"lower it to {recipe.total_steps} or less, or leave it out"
        yield "save_every", f"saves nothing in {recipe.total_steps} steps; {fix}"
    yield from _reasons_of_losses(recipe)
    if not recipe.steps:
        for field in _EVALUATION_FIELDS:
            yield field, "has no effect without evaluations (steps is 0); leave it out, or raise steps"


def _reasons_of_losses(recipe: Recipe) -> Iterator[tuple[str, str]]:
    if not recipe.style_layers:
        for field in ("style_weight", "style_loss"):
            yield field, "has no effect without style_layers; leave it out, or name a layer"
    if not recipe.content_layers:
        yield "content_weight", "has no effect without content_layers; leave it out, or name a layer"
    content = recipe.content_weight and any(recipe.content_layers.values())
    style = (recipe.style_weight or recipe.match_weight) and any(recipe.style_layers.values())
    if not (content or style):
        for field in ("content_layers", "style_layers", "content_weight", "style_weight"):
            yield field, "leaves no content or style loss; give one of the losses a layer and a weight above 0"
