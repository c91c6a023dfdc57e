"""The three terms of the objective, one small class each.

Every term can be `relative`: divided by its target's energy, so that the same weight means the same at any
size and with any network weights. The paper and TensorFlow's tutorial do not divide.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf

_TINY = 1e-12  # keeps the division finite where a layer does not respond to the target at all


@dataclass(frozen=True)
class StyleLoss:
    """Distance between Gram matrices, summed over `weights`' layers."""

    targets: Mapping[str, tf.Tensor]
    weights: Mapping[str, float]
    relative: bool

    def __call__(self, grams: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """A scalar; `grams` are (channels, channels) by layer."""
        return _weighted(grams, self.targets, self.weights, relative=self.relative)


@dataclass(frozen=True)
class ContentLoss:
    """Distance between feature maps, summed over `weights`' layers."""

    targets: Mapping[str, tf.Tensor]
    weights: Mapping[str, float]
    relative: bool

    def __call__(self, maps: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """A scalar; `maps` are (height, width, channels) by layer."""
        return _weighted(maps, self.targets, self.weights, relative=self.relative)


@dataclass(frozen=True)
class TotalVariationLoss:
    """How restless an image is, from each pixel to the next below and to the right.

    `relative`: the mean square of the differences, the same at any size, where a difference in colour counts `chroma`
    times as much as one in brightness. Otherwise their absolute sum, as in `tf.image.total_variation`.
    """

    relative: bool
    chroma: float = 1.0

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """A scalar; `image` is (height, width, 3)."""
        if not self.relative:
            return tf.image.total_variation(image)
        return self._mean(image[1:] - image[:-1]) + self._mean(image[:, 1:] - image[:, :-1])

    def _mean(self, differences: tf.Tensor) -> tf.Tensor:
        brightness = tf.reduce_mean(differences, axis=-1, keepdims=True)
        colour = differences - brightness
        return tf.reduce_mean(tf.square(brightness)) + self.chroma * tf.reduce_mean(tf.square(colour))


def _weighted(
    values: Mapping[str, tf.Tensor], targets: Mapping[str, tf.Tensor], weights: Mapping[str, float], *, relative: bool
) -> tf.Tensor:
    terms = [weights[layer] * _distance(values[layer], target, relative=relative) for layer, target in targets.items()]
    return tf.add_n(terms) if terms else tf.constant(0.0)


def _distance(value: tf.Tensor, target: tf.Tensor, *, relative: bool) -> tf.Tensor:
    error = tf.reduce_mean(tf.math.squared_difference(value, target))
    return error / tf.maximum(tf.reduce_mean(tf.square(target)), _TINY) if relative else error
