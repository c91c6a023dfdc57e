"""H_0, the initial guess of the inverse Hessian for images, in all directions that the pairs of L-BFGS do not cover.

Original work. docs/explanation/initial-hessian.md describes it with its formula and its measured gain. The usual H_0
is a multiple of the identity. The curvature of these objectives is higher for fine structures than for coarse ones,
and differs between regions and colors. So H_0 = gamma W P W. P adds to an image its means over cells of 2, 4, 8 and
16 pixels (with zeros beyond the edges). W scales each pixel and color by how far the latest pairs moved its region
per change of the gradient. gamma makes H_0 agree with the latest pair: y_k^T H_0 y_k = s_k^T y_k. W is diagonal and
positive, and P is symmetric and positive definite, so H_0 is symmetric and positive definite.
"""

from typing import Final

import numpy as np
import tensorflow as tf

from worker.engine.optimizers.tensor_ops import Vectors, inner_product, sum_of_squares

LATEST_PAIRS: Final = 4
"""Number of pairs that W is computed from."""

_LEVELS: Final = 4  # cells of 2, 4, 8 and 16 pixels
_REGION: Final = 8  # pixels per side of W's regions
_BOUNDS: Final = (0.1, 10.0)  # of a region's scale, relative to the mean
_EPSILON: Final = 1e-30
_MEANS: Final = np.outer((1, 3, 3, 1), (1, 3, 3, 1))[:, :, None, None].repeat(6, axis=2).astype(np.float32) / 64
_STRIDES: Final = (1, 2, 2, 1)


def apply_initial_hessian(q: tf.Tensor, s_latest: Vectors, y_latest: Vectors, s_dot_y: tf.Tensor) -> tf.Tensor:
    """Return H_0 q, (height, width, 3), from the latest pairs, oldest first; `s_dot_y` is s_k^T y_k of the last one."""
    w = tf.sqrt(_squared_scale(s_latest, y_latest))
    p_q_y = _multiscale(tf.concat([w * q, w * y_latest[-1]], axis=2), _LEVELS)  # P applied to both together
    h_q, h_y = tf.split(tf.tile(w, [1, 1, 2]) * p_q_y, 2, axis=2)
    return h_q * (tf.cast(s_dot_y, tf.float32) / inner_product(y_latest[-1], h_y))


def _multiscale(x: tf.Tensor, levels: int) -> tf.Tensor:
    """Return P x with P_l = I + 4 M^T P_(l-1) M: M downsamples by 2 to weighted means, M^T upsamples."""
    if not levels or min(x.shape[:2]) < len(_MEANS):
        return x
    means = tf.nn.depthwise_conv2d(x[tf.newaxis], _MEANS, _STRIDES, "SAME")[0]
    coarse, shape = _multiscale(means, levels - 1)[tf.newaxis], (1, *x.shape)
    return x + 4 * tf.nn.depthwise_conv2d_backprop_input(shape, _MEANS, coarse, _STRIDES, "SAME")[0]


def _squared_scale(s_latest: Vectors, y_latest: Vectors) -> tf.Tensor:
    """Return W^2: (A sum s^2 / A sum y^2)^(1/4) by pixel and color, over its mean, clipped; A takes regional means."""
    s_squares, y_squares = (_regional_means(sum_of_squares(parts)) for parts in (s_latest, y_latest))
    ratio = tf.sqrt(tf.sqrt(s_squares / (y_squares + _EPSILON)))
    return tf.clip_by_value(ratio / (tf.reduce_mean(ratio) + _EPSILON), *_BOUNDS)


def _regional_means(squares: tf.Tensor) -> tf.Tensor:
    """Return means over regions, upsampled bilinearly, (height, width, 3)."""
    regions = tf.nn.avg_pool2d(squares[tf.newaxis], _REGION, _REGION, "SAME")
    return tf.image.resize(regions, squares.shape[:2])[0]
