"""What lies between the products of a step: passes over memory, each compiled by XLA from what would be several."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import tensorflow as tf

from worker.engine.winograd import from_tiles, into_tiles, slope_from_tiles, slope_into_tiles

Pooling = Literal["max", "average"]
Pass = Callable[..., tf.Tensor]


class Passes:
    """One instance for each traced step: what was compiled goes with it. XLA takes 0.1 s for a pass and shape."""

    def __init__(self, pooling: Pooling, *, compiled: bool = True) -> None:
        form = partial(tf.function, jit_compile=True, autograph=False) if compiled else _as_it_is
        halved = _greatest if pooling == "max" else _mean
        self.halved: Pass = form(halved)
        self.unhalved: Pass = form(partial(_unhalved, halved))
        self.gated: Pass = form(_gated)
        self.into_tiles: Pass = form(into_tiles)
        self.slope_into_tiles: Pass = form(slope_into_tiles)
        self.slope_from_tiles: Pass = form(slope_from_tiles)
        self.activated: Pass = form(_activated)


def _as_it_is(act: Pass) -> Pass:
    return act


def _greatest(features: tf.Tensor) -> tf.Tensor:
    """Max pooling. Where values are equal its gradient goes to the first, row by row, as in TensorFlow's kernel."""
    above, below = (tf.maximum(*row) for row in _cells(features))
    return tf.maximum(above, below)


def _mean(features: tf.Tensor) -> tf.Tensor:
    return tf.add_n([value for row in _cells(features) for value in row]) / 4


def _cells(features: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], ...]:
    """The four values of each 2x2 cell; an odd last row or column is dropped, as VGG19 does."""
    height, width = features.shape[1] // 2 * 2, features.shape[2] // 2 * 2
    return tuple(tuple(features[:, row:height:2, column:width:2] for column in (0, 1)) for row in (0, 1))


def _unhalved(halved: Pass, features: tf.Tensor, slope: tf.Tensor, *more: tf.Tensor) -> tf.Tensor:
    """The gradient before the ReLU of a layer that is pooled: `slope` is by the pooled features, `more` by its own."""
    with tf.GradientTape() as tape:
        tape.watch(features)
        pooled = halved(features)
    return _gated(features, tape.gradient(pooled, features, slope), *more)


def _gated(features: tf.Tensor, *slopes: tf.Tensor) -> tf.Tensor:
    """The gradient before a ReLU that gave `features`, from all those after it."""
    return tf.where(features > 0, tf.add_n(slopes), 0.0)


def _activated(products: tf.Tensor, bias: tf.Tensor, height: int, width: int) -> tf.Tensor:
    return tf.nn.relu(from_tiles(products, height, width) + bias)
