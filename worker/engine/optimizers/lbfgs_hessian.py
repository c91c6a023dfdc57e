"""The inverse Hessian of L-BFGS in compact form, and the history of pairs that defines it.

Byrd, Nocedal, Schnabel: Representations of quasi-Newton matrices and their use in limited memory methods, Mathematical
Programming 63, 1994. With S = [s_1 ... s_m] and Y = [y_1 ... y_m], R the upper triangle of S^T Y and D its diagonal,
their Theorem 2.2 is

    H = H_0 + [S  H_0 Y] [R^-T (D + Y^T H_0 Y) R^-1   -R^-T] [S^T    ]
                         [-R^-1                          0 ] [Y^T H_0]

A product H q needs as many inner products and sums as the two-loop recursion (Nocedal 1980). Here they are computed for
all pairs together, whereas the recursion updates q pair by pair.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Self

import tensorflow as tf

from worker.engine.optimizers.tensor_ops import Vectors, inner_product, inner_products, weighted_sum

_SLOT_MULTIPLE: Final = 10
_MIN_CURVATURE: Final = 1e-10  # of s^T y relative to y^T y; below, H might not be positive definite

LinearOperator = Callable[[tf.Tensor], tf.Tensor]
"""Maps a vector, in the shape of an image, to its product with a matrix."""


class Slots(NamedTuple):
    """A history as an argument of traced functions: a fixed number of pairs, so that few variants are traced.

    The newest are last. Empty slots are zero, which does not change any product. `s_dot_y` is R, (slots, slots)
    float64; `limit` is the maximum number of pairs.
    """

    s: tuple[tf.Tensor, ...]
    y: tuple[tf.Tensor, ...]
    s_dot_y: tf.Tensor
    limit: tf.Tensor


@dataclass(frozen=True)
class PairHistory:
    """At most `limit` pairs s_k = x_(k+1) - x_k and y_k = g_(k+1) - g_k, (height, width, 3) each, oldest first."""

    limit: int
    zeros: tf.Tensor  # of the image's shape
    s_dot_y: tf.Tensor  # R in its last rows and columns, as in Slots
    s_history: tuple[tf.Tensor, ...] = ()
    y_history: tuple[tf.Tensor, ...] = ()

    @classmethod
    def empty(cls, limit: int, image: tf.Tensor) -> Self:
        """Return a history without pairs, for images of this shape."""
        slots = -(-limit // _SLOT_MULTIPLE) * _SLOT_MULTIPLE
        return cls(limit, tf.zeros_like(image), tf.zeros([slots, slots], tf.float64))

    def append(self, s: tf.Tensor, y: tf.Tensor, s_dot_y: tf.Tensor) -> Self:
        """Return the history with one more pair, at most `limit`; `s_dot_y` comes from `append_products`."""
        s_history, y_history = (*self.s_history, s)[-self.limit :], (*self.y_history, y)[-self.limit :]
        return replace(self, s_dot_y=s_dot_y, s_history=s_history, y_history=y_history)

    def slots(self, *, room_for: int = 0) -> Slots:
        """Return the pairs in slots, without the oldest ones that exceed the limit once `room_for` are appended."""
        first = max(0, len(self.s_history) + room_for - self.limit)
        s, y = self.s_history[first:], self.y_history[first:]
        padding = (self.zeros,) * (self.s_dot_y.shape[0] - len(s))
        return Slots(padding + s, padding + y, self.s_dot_y, tf.constant(self.limit))


def append_products(s_dot_y: tf.Tensor, s: Vectors, y: tf.Tensor, limit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return R with the new pair in its last row and column, and whether the pair's s^T y is large enough to keep it.

    `s_dot_y` is R without the pair. `s` has one vector per slot; its last vector and `y` are the new pair.
    """
    slots = s_dot_y.shape[0]
    in_use = tf.cast(tf.range(slots) >= slots - limit, tf.float64)  # 0 for the oldest pairs beyond the limit
    column = inner_products(y, s)
    shifted = tf.pad(s_dot_y[1:, 1:], [(0, 1), (0, 0)])
    appended = tf.concat([shifted, column[:, tf.newaxis]], axis=1) * in_use * in_use[:, tf.newaxis]
    return appended, column[-1] > _MIN_CURVATURE * tf.cast(inner_product(y, y), tf.float64)


def apply_inverse(q: tf.Tensor, s: Vectors, y: Vectors, s_dot_y: tf.Tensor, apply_h_0: LinearOperator) -> tf.Tensor:
    """Return H q: p = R^-1 S^T q, r = H_0 (q - Y p), H q = r + S R^-T (D p - Y^T r)."""
    diagonal = tf.linalg.diag_part(s_dot_y)
    r_matrix = tf.linalg.set_diag(s_dot_y, tf.where(diagonal == 0, tf.ones_like(diagonal), diagonal))
    p = _solve(r_matrix, inner_products(q, s))
    r = apply_h_0(weighted_sum(q, y, -p))
    return weighted_sum(r, s, _solve(r_matrix, diagonal * p - inner_products(r, y), transposed=True))


def _solve(upper: tf.Tensor, right: tf.Tensor, *, transposed: bool = False) -> tf.Tensor:
    return tf.linalg.triangular_solve(upper, right[:, tf.newaxis], lower=False, adjoint=transposed)[:, 0]
