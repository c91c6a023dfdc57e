"""The inverse Hessian that L-BFGS implies, times a gradient, around a first guess for pictures.

The guess stands for what the secants do not tell. These objectives are stiffer in the fine than in the coarse, so a
gradient leads further where its means over cells point the same way; and stiffer in some regions and colours than in
others, which the latest secants show.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

_LEVELS: Final = 4  # cells of 2, 4, 8 and 16 pixels
_LATEST: Final = 4  # secants that tell of regions
_REGION: Final = 8  # pixels
_ROUND: Final = 10  # secants
_BOUNDS: Final = (0.1, 10.0)  # of a region's share against the mean
_TINY: Final = 1e-30
_MEANS: Final = np.outer((1, 3, 3, 1), (1, 3, 3, 1))[:, :, None, None].repeat(6, axis=2).astype(np.float32) / 64
_STRIDES: Final = (1, 2, 2, 1)

Vector = NDArray[np.floating[Any]]
Act = TypeVar("Act", bound=Callable[..., tf.Tensor])


@dataclass(frozen=True)
class Secants:
    """Steps taken and the changes of the gradient along them, oldest first; (height, width, 3) each.

    Of their inner products only those of a step with its own change and with later ones are ever needed.
    """

    most: int
    moved: tuple[tf.Tensor, ...] = ()
    bent: tuple[tf.Tensor, ...] = ()
    products: Vector = field(default_factory=lambda: np.zeros((0, 0)))  # (of moved, of bent)

    def learned(self, moved: tf.Tensor, bent: tf.Tensor) -> "Secants":
        """With one more, and without the oldest of too many; the same where it bends the wrong way or nothing moved."""
        kept = slice(max(0, len(self.moved) + 1 - self.most), None)
        steps, changes = (*self.moved[kept], moved), (*self.bent[kept], bent)
        column = self._by(bent, steps)
        if not column[-1] > 1e-10 * float(inner(bent, bent)):
            return self
        products = np.pad(self.products[kept, kept], ((0, 1), (0, 1)))
        products[:, -1] = column
        return Secants(self.most, steps, changes, products)

    def inverse(self, gradient: tf.Tensor) -> tf.Tensor:
        """Times the gradient. In matrices, which read each secant twice: Byrd, Nocedal, Schnabel 1994, section 3."""
        if not self.moved:
            return gradient
        upper, own = np.triu(self.products), np.diag(self.products)
        shares = np.linalg.solve(upper, self._by(gradient, self.moved))
        guess = self._first_guess(self._plus(gradient, self.bent, -shares))
        return self._plus(guess, self.moved, np.linalg.solve(upper.T, own * shares - self._by(guess, self.bent)))

    @property
    def _places(self) -> int:
        """A round number, so that there are few variants to compile, whatever histories recipes ask for.

        What fills them is multiplied for nothing: a millisecond of a step, where another variant takes hundreds.
        """
        return -(-self.most // _ROUND) * _ROUND

    def _first_guess(self, gradient: tf.Tensor) -> tf.Tensor:
        """Symmetric and positive definite; scaled so that it agrees with the latest secant."""
        nothing = tf.zeros_like(gradient)
        latest = [_filled(arrays[-_LATEST:], _LATEST, nothing) for arrays in (self.moved, self.bent)]
        return _guessed(gradient, self.bent[-1], tf.constant(self.products[-1, -1], tf.float32), *latest)

    def _by(self, vector: tf.Tensor, arrays: Sequence[tf.Tensor]) -> Vector:
        """The inner products."""
        found: NDArray[np.float32] = _inner_products(vector, _filled(arrays, self._places, vector)).numpy()
        return found[: len(arrays)].astype(np.float64)

    def _plus(self, vector: tf.Tensor, arrays: Sequence[tf.Tensor], factors: Vector) -> tf.Tensor:
        """The vector plus so much of each of the arrays."""
        weights = np.zeros(self._places, np.float32)
        weights[: len(factors)] = factors
        return _sum(vector, _filled(arrays, self._places, vector), tf.constant(weights))


def inner(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """A scalar."""
    return tf.reduce_sum(one * other)


def _filled(arrays: Sequence[tf.Tensor], count: int, blank: tf.Tensor) -> list[tf.Tensor]:
    """Always as many, so that what is traced and compiled for them is so once."""
    return [*arrays, *[blank] * (count - len(arrays))]


def compiled(act: Act) -> Act:
    """By XLA, as one pass over memory, once for each shape."""
    function: Act = tf.function(act, autograph=False, jit_compile=True)
    return function


def _traced(act: Act) -> Act:
    """For what XLA would rather slow down: products and convolutions."""
    function: Act = tf.function(act, autograph=False)
    return function


@_traced
def _inner_products(vector: tf.Tensor, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
    row = tf.reshape(vector, [1, -1])
    return tf.concat([tf.matmul(row, tf.reshape(array, [1, -1]), transpose_b=True)[0] for array in arrays], axis=0)


@compiled
def _sum(vector: tf.Tensor, arrays: Sequence[tf.Tensor], weights: tf.Tensor) -> tf.Tensor:
    for place, array in enumerate(arrays):
        vector += weights[place] * array
    return vector


@_traced
def _guessed(
    gradient: tf.Tensor, last: tf.Tensor, product: tf.Tensor, moved: Sequence[tf.Tensor], bent: Sequence[tf.Tensor]
) -> tf.Tensor:
    root = _softness(moved, bent)
    both = tf.concat([root * gradient, root * last], axis=2)
    guess, of_last = tf.split(tf.tile(root, [1, 1, 2]) * _smoothed(both, _LEVELS), 2, axis=2)
    return guess * (product / inner(last, of_last))


def _smoothed(vectors: tf.Tensor, levels: int) -> tf.Tensor:
    """Each vector plus its means over cells of two pixels, plus those of four, and so on; (height, width, 6)."""
    if not levels or min(vectors.shape[:2]) < len(_MEANS):
        return vectors
    means = tf.nn.depthwise_conv2d(vectors[tf.newaxis], _MEANS, _STRIDES, "SAME")[0]
    coarse, shape = _smoothed(means, levels - 1)[tf.newaxis], (1, *vectors.shape)
    return vectors + 4 * tf.nn.depthwise_conv2d_backprop_input(shape, _MEANS, coarse, _STRIDES, "SAME")[0]


def _softness(moved: Sequence[tf.Tensor], bent: Sequence[tf.Tensor]) -> tf.Tensor:
    """How far a region moved for each change of its gradient: the square root, against the mean."""
    far, stiff = (_by_region(tf.add_n([tf.square(part) for part in parts])) for parts in (moved, bent))
    ratio = tf.sqrt(tf.sqrt(far / (stiff + _TINY)))
    return tf.sqrt(tf.clip_by_value(ratio / (tf.reduce_mean(ratio) + _TINY), *_BOUNDS))


def _by_region(squares: tf.Tensor) -> tf.Tensor:
    height, width = squares.shape[:2]
    cells = tf.image.resize(squares, (-(-height // _REGION), -(-width // _REGION)), method="area")
    return tf.image.resize(cells, (height, width))
