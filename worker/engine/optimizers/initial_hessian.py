"""H_0, the first guess of the inverse Hessian, for pictures: what the pairs of L-BFGS say nothing about.

Original work, described with its formula and its measured gain in docs/initial-hessian.md. The usual H_0 is a multiple
of the identity. These objectives are stiffer in fine than in coarse structures, and stiffer in some regions and colours
than in others. So H_0 = gamma W P W. P adds to an image its means over cells of 2, 4, 8 and 16 pixels (beyond the edges
there are zeros). W scales each pixel and colour by how far the latest pairs moved its surroundings for each change of
their gradient. gamma makes H_0 agree with the latest pair: y_k^T H_0 y_k = s_k^T y_k. W is diagonal and positive, and P
is symmetric and positive definite, so H_0 is, too.
"""

from typing import Final

import numpy as np
import tensorflow as tf

from worker.engine.optimizers.tensor_ops import Vectors, inner, sum_of_squares

LATEST: Final = 4
"""Pairs that W is computed from."""

_LEVELS: Final = 4  # cells of 2, 4, 8 and 16 pixels
_REGION: Final = 8  # pixels, the side of W's regions
_BOUNDS: Final = (0.1, 10.0)  # of a region's scale, relative to the mean
_TINY: Final = 1e-30
_MEANS: Final = np.outer((1, 3, 3, 1), (1, 3, 3, 1))[:, :, None, None].repeat(6, axis=2).astype(np.float32) / 64
_STRIDES: Final = (1, 2, 2, 1)


def apply_initial_hessian(q: tf.Tensor, s_latest: Vectors, y_latest: Vectors, s_dot_y: tf.Tensor) -> tf.Tensor:
    """H_0 q, (height, width, 3), from the latest pairs, oldest first; `s_dot_y` is s_k^T y_k of the last of them."""
    w = tf.sqrt(_squared_scale(s_latest, y_latest))
    both = _multiscale(tf.concat([w * q, w * y_latest[-1]], axis=2), _LEVELS)  # P for both at once
    h_q, h_y = tf.split(tf.tile(w, [1, 1, 2]) * both, 2, axis=2)
    return h_q * (tf.cast(s_dot_y, tf.float32) / inner(y_latest[-1], h_y))


def _multiscale(x: tf.Tensor, levels: int) -> tf.Tensor:
    """P x: M are the means over cells of two pixels, M^T spreads them out, P_l = I + 4 M^T P_(l-1) M."""
    if not levels or min(x.shape[:2]) < len(_MEANS):
        return x
    means = tf.nn.depthwise_conv2d(x[tf.newaxis], _MEANS, _STRIDES, "SAME")[0]
    coarse, shape = _multiscale(means, levels - 1)[tf.newaxis], (1, *x.shape)
    return x + 4 * tf.nn.depthwise_conv2d_backprop_input(shape, _MEANS, coarse, _STRIDES, "SAME")[0]


def _squared_scale(s_latest: Vectors, y_latest: Vectors) -> tf.Tensor:
    """W^2: (A sum s^2 / A sum y^2)^(1/4) by pixel and colour, over its mean, bounded; A takes means over regions."""
    s_squares, y_squares = (_regional_means(sum_of_squares(parts)) for parts in (s_latest, y_latest))
    ratio = tf.sqrt(tf.sqrt(s_squares / (y_squares + _TINY)))
    return tf.clip_by_value(ratio / (tf.reduce_mean(ratio) + _TINY), *_BOUNDS)


def _regional_means(squares: tf.Tensor) -> tf.Tensor:
    """Means over regions, enlarged to pixels bilinearly; (height, width, 3)."""
    regions = tf.nn.avg_pool2d(squares[tf.newaxis], _REGION, _REGION, "SAME")
    return tf.image.resize(regions, squares.shape[:2])[0]
