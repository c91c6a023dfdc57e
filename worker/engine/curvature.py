"""The inverse Hessian that L-BFGS implies, times a gradient: Nocedal's two loops, around a first guess for pictures.

The guess stands for what the secants do not tell. These objectives are stiffer in the fine than in the coarse, so a
gradient leads further where its means over cells point the same way; and stiffer in some regions and colours than in
others, which the latest secants show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import tensorflow as tf

_LEVELS: Final = 4  # cells of 2, 4, 8 and 16 pixels
_LATEST: Final = 4  # secants that tell of regions
_REGION: Final = 8  # pixels
_BOUNDS: Final = (0.1, 10.0)  # of a region's share against the mean
_TINY: Final = 1e-30
_MEANS: Final = np.outer((1, 3, 3, 1), (1, 3, 3, 1))[:, :, None, None].repeat(3, axis=2).astype(np.float32) / 64


@dataclass(frozen=True)
class Pair:
    """A step taken and the change of the gradient along it: one secant of the curvature. (height, width, 3) each."""

    moved: tf.Tensor
    bent: tf.Tensor

    @cached_property
    def product(self) -> tf.Tensor:
        """Of the two."""
        return inner(self.moved, self.bent)


def inverse(pairs: Sequence[Pair], gradient: tf.Tensor) -> tf.Tensor:
    """The inverse Hessian that the pairs imply, oldest first, times the gradient (Nocedal 1980)."""
    if not pairs:
        return gradient
    rest, shares = gradient, []
    for pair in reversed(pairs):
        share = inner(pair.moved, rest) / pair.product
        rest -= share * pair.bent
        shares.append(share)
    rest = _first_guess(pairs, rest)
    for pair, share in zip(pairs, reversed(shares), strict=True):
        rest += (share - inner(pair.bent, rest) / pair.product) * pair.moved
    return rest


def inner(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """A scalar."""
    return tf.reduce_sum(one * other)


def _first_guess(pairs: Sequence[Pair], gradient: tf.Tensor) -> tf.Tensor:
    """Symmetric and positive definite; scaled so that it agrees with the latest secant."""
    root = _softness(pairs[-_LATEST:])

    def guess(vector: tf.Tensor) -> tf.Tensor:
        return root * _smoothed(root * vector, _LEVELS)

    last = pairs[-1]
    return guess(gradient) * (last.product / inner(last.bent, guess(last.bent)))


def _smoothed(vector: tf.Tensor, levels: int) -> tf.Tensor:
    """The vector plus its means over cells of two pixels, plus those of four, and so on."""
    if not levels or min(vector.shape[:2]) < len(_MEANS):
        return vector
    plane, shape = vector[tf.newaxis], (1, *vector.shape)
    means = tf.nn.depthwise_conv2d(plane, _MEANS, (1, 2, 2, 1), "SAME")
    back = tf.nn.depthwise_conv2d_backprop_input(
        shape, _MEANS, _smoothed(means[0], levels - 1)[tf.newaxis], (1, 2, 2, 1), "SAME"
    )
    return vector + 4 * back[0]


def _softness(pairs: Sequence[Pair]) -> tf.Tensor:
    """How far a region moved for each change of its gradient: the square root, against the mean."""
    moved, bent = (
        _by_region(tf.add_n([tf.square(part) for part in parts]))
        for parts in ([pair.moved for pair in pairs], [pair.bent for pair in pairs])
    )
    ratio = tf.sqrt(tf.sqrt(moved / (bent + _TINY)))
    return tf.sqrt(tf.clip_by_value(ratio / (tf.reduce_mean(ratio) + _TINY), *_BOUNDS))


def _by_region(squares: tf.Tensor) -> tf.Tensor:
    height, width = squares.shape[:2]
    cells = tf.image.resize(squares, (-(-height // _REGION), -(-width // _REGION)), method="area")
    return tf.image.resize(cells, (height, width))
