"""The losses of the objective. x is the image, p the photo and a the style image.

Gatys, Ecker, Bethge: Image Style Transfer Using Convolutional Neural Networks, CVPR 2016. The paper sums squares; these
are means, as in TensorFlow's tutorial. `relative` also divides each layer's loss by the mean square of its target, so
that the loss weights have the same effect at any size and with any network weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import tensorflow as tf

_EPSILON: Final = 1e-12  # keeps the division finite if a layer's target is zero
_MAX_RANK: Final = 128  # beyond it, eigenvalues are a few percent of the trace
_ROOT_EPSILON: Final = 1e-6  # relative to the squared trace; with 1e-7, the weakest correlations make speckle


StyleDistance = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Maps the Gram matrix of one layer and region, and its target, to a scalar."""


@dataclass(frozen=True)
class StyleLoss:
    """L_style = sum_r s_r sum_l w_l E_l: E_l is the distance of region r's Gram matrices in layer l.

    The paper's equation 5, which has one region.
    """

    distance: StyleDistance
    targets: Mapping[str, tf.Tensor]  # by layer, of each region
    weights: Mapping[str, float]
    shares: tf.Tensor | None = None  # (regions,): s_r, of each region in the loss; None is one region

    def __call__(self, gram_matrices: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Return a scalar; `gram_matrices` are (regions, channels, channels) by layer."""
        shares = tf.unstack(self.shares) if self.shares is not None else [1.0]
        terms = [
            share * self.weights[layer] * self.distance(gram_matrices[layer][region], target[region])
            for region, share in enumerate(shares)
            for layer, target in self.targets.items()
        ]
        return _sum(terms)


def gram_distance(gram_matrix: tf.Tensor, target: tf.Tensor, *, relative: bool) -> tf.Tensor:
    """Return E = mean((G - A)^2): G and A are the Gram matrices of x and a. The paper's equation 4."""
    return _mean_squared_error(gram_matrix, target, relative=relative)


def gram_root(gram_matrix: tf.Tensor) -> tf.Tensor:
    """Return R, (..., channels, rank), of Gram matrices A: R R^T is A, or its 128 largest eigenvalues and eigenvectors.

    What is left out of a larger A is pulled toward 0: for photos and paintings it is a few percent of the trace.
    """
    values, vectors = tf.linalg.eigh(gram_matrix)  # ascending
    rank = min(gram_matrix.shape[-1], _MAX_RANK)
    return vectors[..., -rank:] * tf.sqrt(tf.maximum(values[..., tf.newaxis, -rank:], 0.0))


def wasserstein_distance(gram_matrix: tf.Tensor, root: tf.Tensor) -> tf.Tensor:
    """Return E = (tr G + tr A - 2 tr (R^T G R)^(1/2)) / tr A, with A = R R^T.

    The squared 2-Wasserstein distance between Gaussians around 0 with covariances G and A, as a share of tr A. Weak
    correlations count more than in the mean square.
    """
    product = tf.matmul(root, tf.matmul(gram_matrix, root), transpose_a=True)
    energy = tf.reduce_sum(tf.square(root))
    overlap = _trace_of_root(product, tf.maximum(_ROOT_EPSILON * energy**2, _EPSILON))
    return (tf.linalg.trace(gram_matrix) + energy - 2 * overlap) / tf.maximum(energy, _EPSILON)


def _trace_of_root(matrix: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """Return tr ((M + epsilon)^(1/2) - epsilon^(1/2)) of a symmetric M. The gradient is (M + epsilon)^(-1/2) / 2.

    Written out, because TensorFlow's gradient of the eigenvectors is not finite where eigenvalues are equal.
    """
    values, vectors = tf.linalg.eigh(tf.stop_gradient(matrix))
    roots = tf.sqrt(tf.maximum(values, 0.0) + epsilon)
    gradient = tf.matmul(vectors / (2 * roots), vectors, transpose_b=True)
    return tf.reduce_sum(roots - tf.sqrt(epsilon)) + tf.reduce_sum(gradient * (matrix - tf.stop_gradient(matrix)))


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
        terms = [
            self.weights[layer] * _mean_squared_error(activations[layer], target, relative=self.relative)
            for layer, target in self.targets.items()
        ]
        return _sum(terms)


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


def _sum(terms: list[tf.Tensor]) -> tf.Tensor:
    return tf.add_n(terms) if terms else tf.constant(0.0)


def _mean_squared_error(value: tf.Tensor, target: tf.Tensor, *, relative: bool) -> tf.Tensor:
    error = tf.reduce_mean(tf.math.squared_difference(value, target))
    return error / tf.maximum(tf.reduce_mean(tf.square(target)), _EPSILON) if relative else error
