"""What lies between the products of a step: passes over memory, each compiled by XLA from what would be several."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

import tensorflow as tf

from worker.engine.winograd import from_tiles, into_tiles

Pooling = Literal["max", "average"]
Pass = Callable[..., tf.Tensor]


class Passes:
    """One instance for each traced step: what was compiled goes with it."""

    def __init__(self, pooling: Pooling, *, compiled: bool = True) -> None:
        form = _Compiled if compiled else _as_it_is
        halved = _greatest if pooling == "max" else _mean
        self.halved: Pass = form(halved)
        self.unhalved: Pass = form(partial(_unhalved, halved))
        self.gated: Pass = form(_gated)
        self.into_tiles: Pass = form(into_tiles)
        self.from_tiles: Pass = form(from_tiles)
        self.activated: Pass = form(_activated)

    def wait(self) -> None:
        """Until what was begun is compiled."""
        for one in vars(self).values():
            if isinstance(one, _Compiled):
                one.wait()


class _Compiled:
    """XLA takes a tenth of a second for each shape: as soon as a shape is met in tracing, on another thread."""

    _threads = ThreadPoolExecutor(os.cpu_count(), "compile")

    def __init__(self, act: Pass) -> None:
        self._act = tf.function(act, jit_compile=True, autograph=False)
        self._begun: dict[tuple[Any, ...], Future[None]] = {}

    def __call__(self, *given: Any) -> tf.Tensor:
        if tf.inside_function():
            self._begin(tuple(one.shape if tf.is_tensor(one) else one for one in given))
        return self._act(*given)

    def _begin(self, shapes: tuple[Any, ...]) -> None:
        if shapes not in self._begun:
            self._begun[shapes] = self._threads.submit(self._compile, shapes)

    def wait(self) -> None:
        """Raises what went wrong."""
        for begun in self._begun.values():
            begun.result()

    def _compile(self, shapes: tuple[Any, ...]) -> None:
        given = [tf.zeros(one) if isinstance(one, tf.TensorShape) else one for one in shapes]
        tf.function(lambda: self._act(*given), autograph=False)()  # within a graph, as where it will be needed


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
