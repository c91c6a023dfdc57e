"""The inverse Hessian of L-BFGS in compact form, and the pairs that it is made of.

Byrd, Nocedal, Schnabel: Representations of quasi-Newton matrices and their use in limited memory methods, Mathematical
Programming 63, 1994. With S = [s_1 ... s_m] and Y = [y_1 ... y_m], R the upper triangle of S^T Y and D its diagonal,
their Theorem 2.2 is

    H = H_0 + [S  H_0 Y] [R^-T (D + Y^T H_0 Y) R^-1   -R^-T] [S^T    ]
                         [-R^-1                          0 ] [Y^T H_0]

A product H q costs as many inner products and sums as the two-loop recursion (Nocedal 1980), but those with all pairs
are taken at once, where the recursion rewrites q pair by pair.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Self

import tensorflow as tf

from worker.engine.optimizers.tensor_ops import Vectors, inner, inner_products, weighted_sum

_ROUND: Final = 10
_MIN_CURVATURE: Final = 1e-10  # of s^T y relative to y^T y: else H would not be positive definite

Hessian = Callable[[tf.Tensor], tf.Tensor]


class Slots(NamedTuple):
    """A history as traced functions take it: a round number of pairs, so that few variants are traced.

    The newest are last; what is empty is zero, which changes nothing in any product. `s_dot_y` is R, (slots, slots)
    float64; `limit` is how many pairs there may be.
    """

    s: tuple[tf.Tensor, ...]
    y: tuple[tf.Tensor, ...]
    s_dot_y: tf.Tensor
    limit: tf.Tensor


@dataclass(frozen=True)
class PairHistory:
    """s_k = x_(k+1) - x_k and y_k = g_(k+1) - g_k, (height, width, 3) each, oldest first, at most `limit` of them."""

    limit: int
    empty: tf.Tensor  # zeros of the image's shape
    s_dot_y: tf.Tensor  # R in its last rows and columns, as in Slots
    s_history: tuple[tf.Tensor, ...] = ()
    y_history: tuple[tf.Tensor, ...] = ()

    @classmethod
    def of(cls, limit: int, image: tf.Tensor) -> Self:
        """No pairs yet, for images of this shape."""
        slots = -(-limit // _ROUND) * _ROUND
        return cls(limit, tf.zeros_like(image), tf.zeros([slots, slots], tf.float64))

    def append(self, s: tf.Tensor, y: tf.Tensor, s_dot_y: tf.Tensor) -> Self:
        """With one more pair, and without the oldest of too many; `s_dot_y` comes from `append_products`."""
        s_history, y_history = (*self.s_history, s)[-self.limit :], (*self.y_history, y)[-self.limit :]
        return replace(self, s_dot_y=s_dot_y, s_history=s_history, y_history=y_history)

    def slots(self, *, room_for: int = 0) -> Slots:
        """As above, without the oldest pairs if more would be over the limit."""
        first = max(0, len(self.s_history) + room_for - self.limit)
        s, y = self.s_history[first:], self.y_history[first:]
        padding = (self.empty,) * (self.s_dot_y.shape[0] - len(s))
        return Slots(padding + s, padding + y, self.s_dot_y, tf.constant(self.limit))


def append_products(s_dot_y: tf.Tensor, s: Vectors, y: tf.Tensor, limit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """R with the newest pair in its last row and column, and whether the pair's s^T y is positive enough to be kept.

    `s_dot_y` is R without it; the last of `s`, of which there is one a slot, and `y` are the new pair.
    """
    slots = s_dot_y.shape[0]
    in_use = tf.cast(tf.range(slots) >= slots - limit, tf.float64)  # 0 where the oldest have to go
    column = inner_products(y, s)
    shifted = tf.pad(s_dot_y[1:, 1:], [(0, 1), (0, 0)])
    appended = tf.concat([shifted, column[:, tf.newaxis]], axis=1) * in_use * in_use[:, tf.newaxis]
    return appended, column[-1] > _MIN_CURVATURE * tf.cast(inner(y, y), tf.float64)


def apply_inverse(q: tf.Tensor, s: Vectors, y: Vectors, s_dot_y: tf.Tensor, initial: Hessian) -> tf.Tensor:
    """H q: p = R^-1 S^T q, r = H_0 (q - Y p), H q = r + S R^-T (D p - Y^T r)."""
    diagonal = tf.linalg.diag_part(s_dot_y)
    r_matrix = tf.linalg.set_diag(s_dot_y, tf.where(diagonal == 0, tf.ones_like(diagonal), diagonal))
    p = _solve(r_matrix, inner_products(q, s))
    r = initial(weighted_sum(q, y, -p))
    return weighted_sum(r, s, _solve(r_matrix, diagonal * p - inner_products(r, y), transposed=True))


def _solve(upper: tf.Tensor, right: tf.Tensor, *, transposed: bool = False) -> tf.Tensor:
    return tf.linalg.triangular_solve(upper, right[:, tf.newaxis], lower=False, adjoint=transposed)[:, 0]
