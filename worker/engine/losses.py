"""The three losses of the objective. x is the image, p the photo and a the style image.

Gatys, Ecker, Bethge: Image Style Transfer Using Convolutional Neural Networks, CVPR 2016. The paper sums squares; these
are means, as in TensorFlow's tutorial. `relative` also divides each layer's loss by the mean square of its target, so
that the loss weights have the same effect at any size and with any network weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf

_EPSILON = 1e-12  # keeps the division finite if a layer's target is zero


@dataclass(frozen=True)
class StyleLoss:
    """L_style = sum_l w_l E_l, E_l = mean((G^l - A^l)^2): G and A are the Gram matrices of x and a in layer l.

    The paper's equations 4 and 5.
    """

    targets: Mapping[str, tf.Tensor]
    weights: Mapping[str, float]
    relative: bool
    shares: tf.Tensor | None = None  # (regions,): of each region in the loss; None is one region

    def __call__(self, gram_matrices: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Return a scalar; `gram_matrices` are (regions, channels, channels) by layer, in one region by default."""
        if self.shares is None:
            return _weighted_sum(gram_matrices, self.targets, self.weights, relative=self.relative)
        by_region = [
            _weighted_sum(
                {layer: matrices[region] for layer, matrices in gram_matrices.items()},
                {layer: targets[region] for layer, targets in self.targets.items()},
                self.weights,
                relative=self.relative,
            )
            for region in range(self.shares.shape[0])
        ]
        return tf.reduce_sum(self.shares * tf.stack(by_region))


@dataclass(frozen=True)
class ContentLoss:
    """L_content = sum_l w_l mean((F^l - P^l)^2): F and P are the activations of x and p in layer l.

    The paper's equation 1.
    """

    targets: Mapping[str, tf.Tensor]
    weights: Mapping[str, float]
    relative: bool

    def __call__(self, activations: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Return a scalar; `activations` are (1, height, width, channels) by layer."""
        return _weighted_sum(activations, self.targets, self.weights, relative=self.relative)


@dataclass(frozen=True)
class TotalVariationLoss:
    """Differences between neighboring pixels: d_ij = x_(i+1)j - x_ij, e_ij = x_i(j+1) - x_ij.

    L_tv = sum |d| + sum |e|, as `tf.image.total_variation`. With `relative` it is L_tv = q(d) + q(e), the same at any
    size, where q(d) = mean(b^2) + chroma mean((d - b)^2) and b is the mean of d over the three colors: a difference in
    color counts `chroma` times as much as one in brightness. (Mahendran and Vedaldi, CVPR 2015.)
    """

    relative: bool
    chroma: float = 1.0

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Return a scalar; `image` is (height, width, 3)."""
        if not self.relative:
            return tf.image.total_variation(image)
        return self._mean_square(image[1:] - image[:-1]) + self._mean_square(image[:, 1:] - image[:, :-1])

    def _mean_square(self, differences: tf.Tensor) -> tf.Tensor:
        brightness = tf.reduce_mean(differences, axis=-1, keepdims=True)
        color = differences - brightness
        return tf.reduce_mean(tf.square(brightness)) + self.chroma * tf.reduce_mean(tf.square(color))


def _weighted_sum(
    values: Mapping[str, tf.Tensor], targets: Mapping[str, tf.Tensor], weights: Mapping[str, float], *, relative: bool
) -> tf.Tensor:
    terms = [
        weights[layer] * _mean_squared_error(values[layer], target, relative=relative)
        for layer, target in targets.items()
    ]
    return tf.add_n(terms) if terms else tf.constant(0.0)


def _mean_squared_error(value: tf.Tensor, target: tf.Tensor, *, relative: bool) -> tf.Tensor:
    error = tf.reduce_mean(tf.math.squared_difference(value, target))
    return error / tf.maximum(tf.reduce_mean(tf.square(target)), _EPSILON) if relative else error
