"""What lies between the products of a step: passes over memory. Where one would be several, XLA compiles it."""

import math
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Literal

import tensorflow as tf

from worker.engine.winograd import from_tiles, into_tiles, slope_from_tiles, slope_into_tiles

Pooling = Literal["max", "average"]
Pass = Callable[..., tf.Tensor]
Halving = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

_LARGE: Final = 2**22  # values: 16 MiB


class Passes:
    """One instance for each traced step: what was compiled goes with it."""

    def __init__(self, pooling: Pooling, *, compiled: bool = True) -> None:
        form = _Compiled if compiled else _as_it_is
        by_max = pooling == "max"
        self.pooled: Pass = _greatest if by_max else _mean
        self.halved: Halving = form(partial(_halved, self.pooled, _greatest_alone if by_max else _positive))
        self.unhalved: Pass = form(partial(_unhalved, 1.0 if by_max else 0.25))
        self.into_tiles: Pass = form(into_tiles)
        self.slope_into_tiles: Pass = form(slope_into_tiles)
        self.slope_from_tiles: Pass = form(slope_from_tiles)
        self.activated: Pass = form(_activated)
        self.gathered: Pass = form(_gathered)

    def wait(self) -> None:
        """Until what was begun is compiled."""
        for one in vars(self).values():
            if isinstance(one, _Compiled):
                one.wait()


class _Compiled:
    """XLA takes a tenth of a second for each shape: as soon as a shape is met in tracing, on another thread.

    To compile ahead is to run on zeros. Large ones would be memory that TensorFlow never gives back, so passes over
    large arrays are compiled when they are first needed.
    """

    _threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "compile")

    def __init__(self, act: Pass) -> None:
        self._act = tf.function(act, jit_compile=True, autograph=False)
        self._begun: dict[tuple[Any, ...], Future[None]] = {}

    def __call__(self, *given: Any) -> tf.Tensor:
        if tf.inside_function():
            self._begin(tuple(tf.TensorSpec(one.shape, one.dtype) if tf.is_tensor(one) else one for one in given))
        return self._act(*given)

    def _begin(self, shapes: tuple[Any, ...]) -> None:
        large = any(math.prod(one.shape) > _LARGE for one in shapes if isinstance(one, tf.TensorSpec))
        if not large and shapes not in self._begun:
            self._begun[shapes] = self._threads.submit(self._compile, shapes)

    def wait(self) -> None:
        """Raises what went wrong."""
        for begun in self._begun.values():
            begun.result()

    def _compile(self, shapes: tuple[Any, ...]) -> None:
        given = [tf.zeros(one.shape, one.dtype) if isinstance(one, tf.TensorSpec) else one for one in shapes]
        within_a_graph = tf.function(self._act, autograph=False)  # as where it will be needed
        within_a_graph(*given)


def _as_it_is(act: Pass) -> Pass:
    return act


def _greatest(features: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(features, 2, 2, "VALID")


def _mean(features: tf.Tensor) -> tf.Tensor:
    return tf.nn.avg_pool2d(features, 2, 2, "VALID")


def _halved(pooled: Pass, let_through: Pass, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What is pooled, and all that the way back needs: as one pass, so that the features can go right after it."""
    return pooled(features), let_through(features)


def _greatest_alone(features: tf.Tensor) -> tf.Tensor:
    """Of each cell the bit of the greatest value; of the first, row by row, where some are equal, as in TensorFlow."""
    one, two, three, four = _cells(features)
    above, below = tf.maximum(one, two), tf.maximum(three, four)
    first = tf.where(one >= two, _bit(0), _bit(1))
    bits = tf.where(above >= below, first, tf.where(three >= four, _bit(2), _bit(3)))
    return tf.where(tf.maximum(above, below) > 0, bits, tf.constant(0, tf.uint8))


def _positive(features: tf.Tensor) -> tf.Tensor:
    """Of each cell the bits of the values above 0."""
    return tf.add_n(
        [tf.where(value > 0, _bit(place), tf.constant(0, tf.uint8)) for place, value in enumerate(_cells(features))]
    )


def _cells(features: tf.Tensor) -> list[tf.Tensor]:
    """The four values of each 2x2 cell, row by row; an odd last row or column is dropped, as VGG19 does."""
    height, width = features.shape[1] // 2 * 2, features.shape[2] // 2 * 2
    return [features[:, row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)]


def _unhalved(share: float, let_through: tf.Tensor, slope: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """The gradient before the ReLU of a layer that is pooled; told by bits, its features being 16 times as large."""
    _, rows, columns, channels = slope.shape
    cells = [tf.where(tf.bitwise.bitwise_and(let_through, _bit(place)) > 0, share * slope, 0.0) for place in range(4)]
    pairs = [tf.stack(cells[:2], axis=3), tf.stack(cells[2:], axis=3)]
    plane = tf.reshape(tf.stack(pairs, axis=2), [1, 2 * rows, 2 * columns, channels])
    return tf.pad(plane, [(0, 0), (0, height - 2 * rows), (0, width - 2 * columns), (0, 0)])


def _bit(place: int) -> tf.Tensor:
    return tf.constant(1 << place, tf.uint8)


def gated(features: tf.Tensor, *slopes: tf.Tensor) -> tf.Tensor:
    """The gradient before a ReLU that gave `features`, from all those after it, in the place of one of them."""
    return tf.raw_ops.ReluGrad(gradients=tf.add_n(slopes), features=features)


def _activated(products: tf.Tensor, bias: tf.Tensor, height: int, width: int) -> tf.Tensor:
    return tf.nn.relu(from_tiles(products, height, width) + bias)


def _gathered(products: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """What each place gives to the three colours of the 3x3 around it, (places, 27), to (1, height, width, 3)."""
    given = tf.pad(tf.reshape(products, [height, width, 3, 3, 3]), [(1, 1), (1, 1), (0, 0), (0, 0), (0, 0)])
    taps = [(row, column) for row in range(3) for column in range(3)]
    planes = [given[2 - row : 2 - row + height, 2 - column : 2 - column + width, row, column] for row, column in taps]
    return tf.add_n(planes)[tf.newaxis]
