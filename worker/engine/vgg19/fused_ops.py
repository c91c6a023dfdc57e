"""What lies between a step's matrix products: passes over memory. XLA fuses each of these into one."""

import math
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import tensorflow as tf

from worker.engine.model import Pooling
from worker.engine.vgg19.winograd import from_tiles, gradient_from_tiles, gradient_to_tiles, to_tiles

Op = Callable[..., tf.Tensor]
PoolOp = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

_LARGE: Final = 2**22  # values: 16 MiB


class FusedOps:
    """One instance per traced evaluation: what XLA compiled goes with it."""

    def __init__(self, pooling: Pooling, *, compiled: bool = True) -> None:
        fused = _Compiled if compiled else _unchanged
        by_max = pooling == "max"
        self.pool: PoolOp = fused(_max_pool if by_max else _average_pool)
        self.unpool: Op = fused(partial(_unpool, 1.0 if by_max else 0.25))
        self.to_tiles: Op = fused(to_tiles)
        self.gradient_to_tiles: Op = fused(gradient_to_tiles)
        self.gradient_from_tiles: Op = fused(gradient_from_tiles)
        self.activations_from_tiles: Op = fused(_activations_from_tiles)
        self.sum_taps: Op = fused(_sum_taps)

    def wait(self) -> None:
        """Until what was begun is compiled."""
        for op in vars(self).values():
            if isinstance(op, _Compiled):
                op.wait()


class _Compiled:
    """XLA takes a tenth of a second for each shape: it starts on another thread as soon as tracing meets the shape.

    To compile ahead is to run on zeros. Large ones would be memory that TensorFlow never gives back, so ops on large
    arrays are compiled when they are first needed.
    """

    _threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "compile")

    def __init__(self, op: Op) -> None:
        self._op = tf.function(op, jit_compile=True, autograph=False)
        self._started: dict[tuple[Any, ...], Future[None]] = {}

    def __call__(self, *arguments: Any) -> tf.Tensor:
        if tf.inside_function():
            self._start(tuple(tf.TensorSpec(one.shape, one.dtype) if tf.is_tensor(one) else one for one in arguments))
        return self._op(*arguments)

    def _start(self, specs: tuple[Any, ...]) -> None:
        large = any(math.prod(one.shape) > _LARGE for one in specs if isinstance(one, tf.TensorSpec))
        if not large and specs not in self._started:
            self._started[specs] = self._threads.submit(self._compile, specs)

    def wait(self) -> None:
        """Raises what went wrong."""
        for started in self._started.values():
            started.result()

    def _compile(self, specs: tuple[Any, ...]) -> None:
        arguments = [tf.zeros(one.shape, one.dtype) if isinstance(one, tf.TensorSpec) else one for one in specs]
        within_a_graph = tf.function(self._op, autograph=False)  # as where it will be used
        within_a_graph(*arguments)


def _unchanged(op: Op) -> Op:
    return op


def _max_pool(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The pooled activations, and in the mask the bit of each 2x2 cell's maximum.

    Of equal ones it is the first, row by row, as in TensorFlow. Both in one op, so that `x` can be freed after it.
    """
    one, two, three, four = _cells(x)
    above, below = tf.maximum(one, two), tf.maximum(three, four)
    first = tf.where(one >= two, _bit(0), _bit(1))
    bits = tf.where(above >= below, first, tf.where(three >= four, _bit(2), _bit(3)))
    mask = tf.where(tf.maximum(above, below) > 0, bits, tf.constant(0, tf.uint8))
    return tf.nn.max_pool2d(x, 2, 2, "VALID"), mask


def _average_pool(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The pooled activations, and in the mask the bits of each 2x2 cell's values above 0."""
    bits = [tf.where(value > 0, _bit(index), tf.constant(0, tf.uint8)) for index, value in enumerate(_cells(x))]
    return tf.nn.avg_pool2d(x, 2, 2, "VALID"), tf.add_n(bits)


def _cells(x: tf.Tensor) -> list[tf.Tensor]:
    """The four values of each 2x2 cell, row by row; an odd last row or column is dropped, as VGG19 does."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return [x[:, row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)]


def _unpool(share: float, mask: tf.Tensor, gradient: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """The gradient before the ReLU of a pooled layer, from its mask: its activations would be 16 times as large."""
    _, rows, columns, channels = gradient.shape
    cells = [tf.where(tf.bitwise.bitwise_and(mask, _bit(index)) > 0, share * gradient, 0.0) for index in range(4)]
    pairs = [tf.stack(cells[:2], axis=3), tf.stack(cells[2:], axis=3)]
    plane = tf.reshape(tf.stack(pairs, axis=2), [1, 2 * rows, 2 * columns, channels])
    return tf.pad(plane, [(0, 0), (0, height - 2 * rows), (0, width - 2 * columns), (0, 0)])


def _bit(index: int) -> tf.Tensor:
    return tf.constant(1 << index, tf.uint8)


def relu_gradient(activations: tf.Tensor, *gradients: tf.Tensor) -> tf.Tensor:
    """The gradient before a ReLU, from its output and the sum of the gradients after it."""
    return tf.raw_ops.ReluGrad(gradients=tf.add_n(gradients), features=activations)


def _activations_from_tiles(products: tf.Tensor, bias: tf.Tensor, height: int, width: int) -> tf.Tensor:
    return tf.nn.relu(from_tiles(products, height, width) + bias)


def _sum_taps(products: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """(height width, 27), each position's share in the colours of the 3x3 around it, to (1, height, width, 3)."""
    shares = tf.pad(tf.reshape(products, [height, width, 3, 3, 3]), [(1, 1), (1, 1), (0, 0), (0, 0), (0, 0)])
    taps = [(row, column) for row in range(3) for column in range(3)]
    planes = [shares[2 - row : 2 - row + height, 2 - column : 2 - column + width, row, column] for row, column in taps]
    return tf.add_n(planes)[tf.newaxis]
