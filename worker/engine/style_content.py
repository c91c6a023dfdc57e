"""What VGG19 sees in an image: Gram matrices for its style, feature maps for its content, in one forward pass.

Gatys, Ecker, Bethge: Image Style Transfer Using Convolutional Neural Networks, CVPR 2016.
"""

from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from shared.recipe import Recipe
from worker.engine.vgg import preprocess, vgg19


@dataclass(frozen=True)
class Features:
    """By layer: `grams` (channels, channels) and `maps` (height, width, channels), float32."""

    grams: dict[str, tf.Tensor]
    maps: dict[str, tf.Tensor]


class StyleContentModel:
    """From an image (height, width, 3), float32 in [0, 1], to its Features at the layers that a recipe weighs."""

    def __init__(self, recipe: Recipe, weights: Path) -> None:
        self.style_layers = [layer for layer, weight in recipe.style_layers.items() if weight]
        self.content_layers = [layer for layer, weight in recipe.content_layers.items() if weight]
        outputs = self.style_layers + self.content_layers
        self._network = vgg19(outputs, weights, pooling=recipe.pooling)

    def __call__(self, image: tf.Tensor) -> Features:
        """One forward pass."""
        seen = self._network(preprocess(image)[tf.newaxis])
        return Features(
            grams={layer: gram_matrix(seen[layer][0]) for layer in self.style_layers},
            maps={layer: seen[layer][0] for layer in self.content_layers},
        )


def gram_matrix(features: tf.Tensor) -> tf.Tensor:
    """(height, width, channels) to (channels, channels): how often features occur together, as a mean over places.

    One side of the product is held fixed and the gradient through the other counted twice. A Gram matrix being
    symmetric, this is its gradient (for a loss that is symmetric in it), for one product where autodiff takes two.
    """
    flat = tf.reshape(features, [-1, features.shape[-1]])
    places = tf.cast(tf.shape(flat)[0], tf.float32)
    gram = tf.matmul(tf.stop_gradient(flat), flat, transpose_a=True) / places
    return 2.0 * gram - tf.stop_gradient(gram)
