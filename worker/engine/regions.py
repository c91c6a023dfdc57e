"""Regions of the content, each in one style.

Gatys, Ecker, Bethge, Hertzmann and Shechtman, "Controlling Perceptual Factors in Neural Style Transfer", CVPR 2017,
section 4: the Gram matrix of region r in layer l is that of the features times a guidance channel T_r^l.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from worker.engine.image_ops import reflect_pad

_EMPTY = 1e-6  # mean square of a guide below which a region does not exist in a layer


class Guides(NamedTuple):
    """The regions as the losses use them."""

    channels: Mapping[str, tf.Tensor]
    """By style layer, (regions, height, width, 1): T_r^l with a mean square of 1, so that Gram matrices stay means."""
    shares: tf.Tensor
    """(regions,): each region's share of the masked area, the weight of its style loss."""


class Regions:
    """One soft mask for each style image, in order. Where masks overlap, they share the place."""

    def __init__(self, masks: Sequence[NDArray[np.uint8]]) -> None:
        """`masks` are (height, width) of any size, 255 where the style applies."""
        self._masks = masks

    def at(self, size: tuple[int, int]) -> tf.Tensor:
        """Return the masks at (height, width): (regions, height, width, 1), at most 1 in sum."""
        stacked = tf.stack([_resize(mask.astype(np.float32)[..., np.newaxis] / 255, size) for mask in self._masks])
        return stacked / tf.maximum(tf.reduce_sum(stacked, axis=0, keepdims=True), 1.0)

    def coverage(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return where any style applies, (height, width, 1) in [0, 1]."""
        covered: NDArray[np.float32] = tf.reduce_sum(self.at(size), axis=0).numpy()
        return covered

    def guides(self, size: tuple[int, int], padding: int, layers: Iterable[str]) -> Guides:
        """Return the guides for an image of this size without its padding."""
        masks = self.at(size)
        padded = tf.stack([reflect_pad(mask, padding) for mask in tf.unstack(masks)])
        areas = tf.reduce_sum(masks, axis=[1, 2, 3])
        return Guides(guide_channels(padded, layers), tf.math.divide_no_nan(areas, tf.reduce_sum(areas)))


def guide_channels(masks: tf.Tensor, layers: Iterable[str]) -> dict[str, tf.Tensor]:
    """Return Guides' channels of masks (regions, height, width, 1) by layer."""
    return {layer: _channels(masks, layer) for layer in layers}


def guided(features: tf.Tensor, channels: tf.Tensor) -> list[tf.Tensor]:
    """Return the features (1, height, width, channels) times each region's guide, by region."""
    return [features * channel[tf.newaxis] for channel in tf.unstack(channels)]


def _channels(masks: tf.Tensor, layer: str) -> tf.Tensor:
    poolings = int(layer[len("block")]) - 1
    scaled = _resize(masks, tf.shape(masks)[1:3] // 2**poolings)
    square = tf.reduce_mean(tf.square(scaled), axis=[1, 2, 3], keepdims=True)
    return tf.where(square > _EMPTY, scaled * tf.math.rsqrt(tf.maximum(square, _EMPTY)), 0.0)


def _resize(masks: Any, size: Any) -> tf.Tensor:
    return tf.clip_by_value(tf.image.resize(masks, size, method="bilinear", antialias=True), 0.0, 1.0)
