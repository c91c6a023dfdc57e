"""The match loss: activations of the image come close to the most similar ones of the style.

Li and Wand, "Combining Markov Random Fields and Convolutional Neural Networks for Image Synthesis", CVPR 2016, with the
cosine distance of single activations as in Kolkin et al., "Neural Neighbor Style Transfer", 2022.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import tensorflow as tf

from worker.engine.regions import Guides

SAMPLES: Final = 2048
"""Activations of the styles in each layer: a fixed number, so that an evaluation is traced once for all styles."""

_EPSILON: Final = 1e-6  # relative to the mean square: near the mean, the direction is noise and its gradient infinite
_TINY: Final = 1e-12


@dataclass(frozen=True)
class MatchLoss:
    """L_match = sum_r s_r sum_l w_l mean_i (1 - max_j cos(F_i - m, A_j - m)).

    F_i are the activations of the image in layer l, A_j those of the style of region r, and m is the mean of A_j.
    """

    targets: Mapping[str, tf.Tensor]  # by layer, (regions, SAMPLES, channels)
    weights: Mapping[str, float]
    guides: Guides | None = None

    def __call__(self, activations: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Return a scalar; `activations` are (1, height, width, channels) by layer."""
        shares = tf.unstack(self.guides.shares) if self.guides else [1.0]
        terms = [
            share * self.weights[layer] * tf.reduce_mean(self._distances(activations[layer], layer, region))
            for region, share in enumerate(shares)
            for layer in self.targets
        ]
        return tf.add_n(terms)

    def _distances(self, activations: tf.Tensor, layer: str, region: int) -> tf.Tensor:
        """Return (height, width): the distance of each position, weighted by the region's guide."""
        style = self.targets[layer][region]
        mean = tf.reduce_mean(style, axis=0)
        style, image = style - mean, activations[0] - mean
        epsilon = _EPSILON * tf.reduce_mean(_square(style)) + _TINY
        style, image = (part * tf.math.rsqrt(_square(part) + epsilon) for part in (style, image))
        distances = 1 - tf.reduce_sum(image * tf.gather(style, _most_similar(image, style)), axis=-1)
        return distances * tf.square(self.guides.channels[layer][region, ..., 0]) if self.guides else distances


def _square(vectors: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True)


def _most_similar(image: tf.Tensor, style: tf.Tensor) -> tf.Tensor:
    """Return the index in `style` for each position, row by row: all at once would need gigabytes for a large image."""
    image = tf.stop_gradient(image)

    def in_row(row: tf.Tensor) -> tf.Tensor:
        return tf.argmax(tf.matmul(row, style, transpose_b=True), axis=-1, output_type=tf.int32)

    return tf.map_fn(in_row, image, fn_output_signature=tf.int32, parallel_iterations=1)


def sample_activations(activations: tf.Tensor, mask: tf.Tensor | None, count: int) -> tf.Tensor:
    """Return (count, channels), evenly spaced from (1, height, width, channels); positions repeat if there are fewer.

    With a mask (height, width) in [0, 1], of any size, only from where it is above one half, or above half of its
    maximum in this layer if that is less.
    """
    _, height, width, channels = activations.shape
    positions = tf.reshape(activations, [-1, channels])
    if mask is not None:
        shown = tf.reshape(tf.image.resize(mask[..., tf.newaxis], (height, width), method="area"), [-1])
        half = min(0.5, float(tf.reduce_max(shown)) / 2)
        positions = tf.boolean_mask(positions, shown > half)
    numbers = tf.range(count, dtype=tf.int64) * positions.shape[0] // count  # the product can exceed 32 bits
    return tf.gather(positions, numbers)


def sample_counts(shares: Sequence[float]) -> list[int]:
    """Return how many of the SAMPLES each style contributes, by its share."""
    ends = [round(SAMPLES * sum(shares[: number + 1]) / sum(shares)) for number in range(len(shares))]
    return [end - start for start, end in pairwise([0, *ends])]
