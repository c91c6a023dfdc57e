"""What VGG19 sees in an image: Gram matrices for its style, feature maps for its content.

Gatys, Ecker, Bethge: Image Style Transfer Using Convolutional Neural Networks, CVPR 2016.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Self

import tensorflow as tf

from shared.recipe import Recipe
from worker.engine.passes import Passes
from worker.engine.vgg import Layers, Trail, Vgg19


@dataclass(frozen=True)
class Seen:
    """By layer, float32: `grams` (channels, channels) and `maps` (height, width, channels)."""

    grams: dict[str, tf.Tensor]
    maps: dict[str, tf.Tensor]


class StyleContentModel:
    """From an image (height, width, 3), float32 in [0, 1], to what a recipe weighs, and back to a gradient."""

    def __init__(self, recipe: Recipe, layers: Layers, passes: Passes, *, fast: bool) -> None:
        self.style_layers = [layer for layer, weight in recipe.style_layers.items() if weight]
        self.content_layers = [layer for layer, weight in recipe.content_layers.items() if weight]
        self._weighed = {*self.style_layers, *self.content_layers}
        self._passes = passes
        self._network = Vgg19(layers.upto(self._weighed), passes, fast=fast)

    @classmethod
    def tuned(cls, recipe: Recipe, layers: Layers) -> Self:
        """For many images of one shape on a processor: its faster convolutions, and compiled what is better so."""
        return cls(recipe, layers, Passes(recipe.pooling), fast=True)

    @classmethod
    def plain(cls, recipe: Recipe, layers: Layers) -> Self:
        """TensorFlow's own operations: for one image of any shape, or for what XLA compiles as a whole."""
        return cls(recipe, layers, Passes(recipe.pooling, compiled=False), fast=False)

    def compiled(self) -> None:
        """Returns when all that tracing met is compiled, so that its memory does not come on top of a step's."""
        self._passes.wait()

    def look(self, image: tf.Tensor) -> tuple[Seen, Trail]:
        """What the recipe weighs of an image, and what the way back needs."""
        trail = self._network.forward(image, self._weighed)
        return self._seen(trail.features.items()), trail

    def glance(self, image: tf.Tensor) -> Seen:
        """The same with no way back, and one layer in memory at a time."""
        return self._seen(self._network.views(image))

    def back(self, trail: Trail, slopes: Seen) -> tf.Tensor:
        """The gradient by the image, from those by what the recipe weighs."""
        found = {layer: partial(_slope, layer, trail.features[layer], slopes) for layer in self._weighed}
        return self._network.back(trail, found)

    def _seen(self, views: Iterable[tuple[str, tf.Tensor]]) -> Seen:
        found = Seen({}, {})
        for layer, features in views:
            if layer in self.style_layers:
                found.grams[layer] = gram_matrix(features[0])
            if layer in self.content_layers:
                found.maps[layer] = features[0]
        return found


def _slope(layer: str, features: tf.Tensor, slopes: Seen) -> tf.Tensor:
    """The gradient by a layer's features (1, height, width, channels)."""
    found = [gram_slope(features, slopes.grams[layer])] if layer in slopes.grams else []
    return tf.add_n([*found, *([slopes.maps[layer][tf.newaxis]] if layer in slopes.maps else [])])


def gram_matrix(features: tf.Tensor) -> tf.Tensor:
    """(height, width, channels) to (channels, channels): how often features occur together, as a mean over places."""
    flat = tf.reshape(features, [-1, features.shape[-1]])
    return tf.matmul(flat, flat, transpose_a=True) / _places(features)


def gram_slope(features: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """The gradient by features (1, height, width, channels), from the one by their Gram matrix: one product."""
    flat = tf.reshape(features, [-1, features.shape[-1]])
    return tf.reshape(tf.matmul(flat, (slope + tf.transpose(slope)) / _places(features)), features.shape)


def _places(features: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.size(features) // features.shape[-1], tf.float32)
