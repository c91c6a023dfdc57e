"""The objective of one stage, put together from a recipe: weighted style + content + total variation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from shared.recipe import Recipe
from worker.engine.losses import ContentLoss, StyleLoss, TotalVariationLoss
from worker.engine.style_content import Seen, StyleContentModel

Grams = Mapping[str, tf.Tensor]


@dataclass(frozen=True)
class Objective:
    """What an image is judged by: the recipe's terms, and their targets for its size."""

    model: StyleContentModel
    recipe: Recipe
    targets: Seen

    def losses(self, image: tf.Tensor, seen: Seen) -> tf.Tensor:
        """The weighted [total, style, content, total variation] of an image (height, width, 3)."""
        recipe, relative = self.recipe, self.recipe.normalize
        style = StyleLoss(self.targets.grams, recipe.style_layers, relative)(seen.grams)
        content = ContentLoss(self.targets.maps, recipe.content_layers, relative)(seen.maps)
        variation = TotalVariationLoss(relative, recipe.chroma_variation)(image)
        terms = [recipe.style_weight * style, recipe.content_weight * content, recipe.variation_weight * variation]
        return tf.stack([tf.add_n(terms), *terms])

    def evaluate(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One step's work: [total, style, content, total variation, gradient norm] and the gradient of the total."""
        seen, trail = self.model.look(image)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([image, seen.grams, seen.maps])
            losses = self.losses(image, seen)
            total = losses[0]
        own, grams, maps = tape.gradient(total, [image, seen.grams, seen.maps])
        gradient = own + self.model.back(trail, Seen(grams, maps))
        return tf.concat([losses, [tf.norm(gradient)]], axis=0), gradient


def mixed(grams: Sequence[Grams], recipe: Recipe) -> dict[str, tf.Tensor]:
    """Several styles become one target: their Gram matrices, mixed by share."""
    mix = recipe.style_mix or (1.0,) * len(grams)
    return {
        layer: tf.add_n([share / sum(mix) * gram[layer] for share, gram in zip(mix, grams, strict=True)])
        for layer in grams[0]
    }
