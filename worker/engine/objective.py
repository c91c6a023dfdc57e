"""The objective of one stage, put together from a recipe: weighted style + content + total variation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import tensorflow as tf

from shared.recipe import Recipe
from worker.engine.losses import ContentLoss, StyleLoss, TotalVariationLoss
from worker.engine.style_content import StyleContentModel


@dataclass(frozen=True)
class Objective:
    """What an image of one size is judged by; the targets are fixed when it is made."""

    model: StyleContentModel
    recipe: Recipe
    style: StyleLoss
    content: ContentLoss
    variation: TotalVariationLoss

    @classmethod
    def of(cls, model: StyleContentModel, recipe: Recipe, content: tf.Tensor, styles: Sequence[tf.Tensor], /) -> Self:
        """Targets from images of the stage's size, float32 in [0, 1]; each is seen once."""
        relative = recipe.normalize
        return cls(
            model,
            recipe,
            StyleLoss(_mixed_grams(model, styles, recipe), recipe.style_layers, relative),
            ContentLoss(model(content).maps, recipe.content_layers, relative),
            TotalVariationLoss(relative, recipe.chroma_variation),
        )

    def losses(self, image: tf.Tensor) -> tf.Tensor:
        """The weighted [total, style, content, total variation] of an image (height, width, 3)."""
        seen = self.model(image)
        style = self.recipe.style_weight * self.style(seen.grams)
        content = self.recipe.content_weight * self.content(seen.maps)
        variation = self.recipe.variation_weight * self.variation(image)
        return tf.stack([style + content + variation, style, content, variation])

    def evaluate(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One step's work: [total, style, content, total variation, gradient norm] and the gradient of the total."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(image)
            losses = self.losses(image)
            total = losses[0]
        gradient = tape.gradient(total, image)
        return tf.concat([losses, [tf.norm(gradient)]], axis=0), gradient


def _mixed_grams(model: StyleContentModel, styles: Sequence[tf.Tensor], recipe: Recipe) -> dict[str, tf.Tensor]:
    """Several styles become one target: their Gram matrices, mixed by share."""
    mix = recipe.style_mix or (1.0,) * len(styles)
    seen = [model(style).grams for style in styles]
    return {
        layer: tf.add_n([share / sum(mix) * grams[layer] for share, grams in zip(mix, seen, strict=True)])
        for layer in model.style_layers
    }
