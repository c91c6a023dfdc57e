"""The operations between an evaluation's matrix products. XLA fuses each of them into one pass over memory."""

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

_LARGE: Final = 2**22  # elements, 16 MiB


class FusedOps:
    """One instance per traced evaluation, so that its compiled operations are freed with it."""

    def __init__(self, pooling: Pooling, *, compiled: bool = True) -> None:
        fused = _Compiled if compiled else _uncompiled
        by_max = pooling == "max"
        self.pool: PoolOp = fused(_max_pool if by_max else _average_pool)
        self.unpool: Op = fused(partial(_unpool, 1.0 if by_max else 0.25))
        self.to_tiles: Op = fused(to_tiles)
        self.gradient_to_tiles: Op = fused(gradient_to_tiles)
        self.gradient_from_tiles: Op = fused(gradient_from_tiles)
        self.activations_from_tiles: Op = fused(_activations_from_tiles)
        self.sum_taps: Op = fused(_sum_taps)

    def wait_until_compiled(self) -> None:
        """Wait for all compilations that have started."""
        for op in vars(self).values():
            if isinstance(op, _Compiled):
                op.wait_until_compiled()


class _Compiled:
    """An operation that another thread compiles while tracing continues; XLA takes a tenth of a second per shape.

    Compilation ahead of use means a run on zeros. TensorFlow would never release the memory of large arrays, so
    operations on large arrays are compiled on first use.
    """

    _threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "compile")

    def __init__(self, op: Op) -> None:
        self._op = tf.function(op, jit_compile=True, autograph=False)
        self._started: dict[tuple[Any, ...], Future[None]] = {}

    def __call__(self, *arguments: Any) -> tf.Tensor:
        if tf.inside_function():
            self._start(
                tuple(tf.TensorSpec(value.shape, value.dtype) if tf.is_tensor(value) else value for value in arguments)
            )
        return self._op(*arguments)

    def _start(self, specs: tuple[Any, ...]) -> None:
        is_large = any(math.prod(spec.shape) > _LARGE for spec in specs if isinstance(spec, tf.TensorSpec))
        if not is_large and specs not in self._started:
            self._started[specs] = self._threads.submit(self._compile, specs)

    def wait_until_compiled(self) -> None:
        """Wait for the compilations that have started. Raises their errors."""
        for compilation in self._started.values():
            compilation.result()

    def _compile(self, specs: tuple[Any, ...]) -> None:
        arguments = [tf.zeros(spec.shape, spec.dtype) if isinstance(spec, tf.TensorSpec) else spec for spec in specs]
        in_graph = tf.function(self._op, autograph=False)  # as in the evaluation
        in_graph(*arguments)


def _uncompiled(op: Op) -> Op:
    return op


def _max_pool(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the pooled activations and a mask with the bit of each 2x2 cell's maximum, or 0 if that is 0.

    The first of equal values counts, row by row, as in TensorFlow. One op computes both so that `x` can be freed.
    """
    top_left, top_right, bottom_left, bottom_right = _cells(x)
    top, bottom = tf.maximum(top_left, top_right), tf.maximum(bottom_left, bottom_right)
    top_bit = tf.where(top_left >= top_right, _bit(0), _bit(1))
    bits = tf.where(top >= bottom, top_bit, tf.where(bottom_left >= bottom_right, _bit(2), _bit(3)))
    mask = tf.where(tf.maximum(top, bottom) > 0, bits, tf.constant(0, tf.uint8))
    return tf.nn.max_pool2d(x, 2, 2, "VALID"), mask


def _average_pool(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the pooled activations and a mask with the bits of each 2x2 cell's values above 0."""
    bits = [tf.where(value > 0, _bit(index), tf.constant(0, tf.uint8)) for index, value in enumerate(_cells(x))]
    return tf.nn.avg_pool2d(x, 2, 2, "VALID"), tf.add_n(bits)


def _cells(x: tf.Tensor) -> list[tf.Tensor]:
    """Return the four values of each 2x2 cell, row by row; an odd last row or column is dropped, as in VGG19."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return [x[:, row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)]


def _unpool(share: float, mask: tf.Tensor, gradient: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Return the gradient before a pooled layer's ReLU from its mask; its activations would be 16 times as large."""
    _, rows, columns, channels = gradient.shape
    cells = [tf.where(tf.bitwise.bitwise_and(mask, _bit(index)) > 0, share * gradient, 0.0) for index in range(4)]
    pairs = [tf.stack(cells[:2], axis=3), tf.stack(cells[2:], axis=3)]
    plane = tf.reshape(tf.stack(pairs, axis=2), [1, 2 * rows, 2 * columns, channels])
    return tf.pad(plane, [(0, 0), (0, height - 2 * rows), (0, width - 2 * columns), (0, 0)])


def _bit(index: int) -> tf.Tensor:
    return tf.constant(1 << index, tf.uint8)


def relu_gradient(activations: tf.Tensor, *gradients: tf.Tensor) -> tf.Tensor:
    """Return the gradient before a ReLU, from its output and the sum of the gradients after it."""
    return tf.raw_ops.ReluGrad(gradients=tf.add_n(gradients), features=activations)


def _activations_from_tiles(products: tf.Tensor, bias: tf.Tensor, height: int, width: int) -> tf.Tensor:
    return tf.nn.relu(from_tiles(products, height, width) + bias)


def _sum_taps(products: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Sum each position's contributions, (height width, 27), to its 3x3 pixels' colors: (1, height, width, 3)."""
    contributions = tf.pad(tf.reshape(products, [height, width, 3, 3, 3]), [(1, 1), (1, 1), (0, 0), (0, 0), (0, 0)])
    taps = [(row, column) for row in range(3) for column in range(3)]
    planes = [
        contributions[2 - row : 2 - row + height, 2 - column : 2 - column + width, row, column] for row, column in taps
    ]
    return tf.add_n(planes)[tf.newaxis]
