"""3x3 convolutions for a quarter of the multiplications: F(4x4, 3x3).

Lavin, Gray: Fast Algorithms for Convolutional Neural Networks, CVPR 2016. The plane is divided into tiles of 4x4
outputs, each of which depends on 6x6 inputs. In transformed coordinates a convolution is one matrix product for each of
the 36 positions. In float32 it differs from the direct sum by a few millionths of the largest output. The backward pass
is the same algorithm with each linear map transposed. It needs no separate kernels, which would take 0.3 GB more.
"""

from collections.abc import Callable, Sequence
from functools import cache, reduce
from operator import add, sub
from typing import Any, Final

import numpy as np
import tensorflow as tf

_TILE: Final = 4
_PATCH: Final = 6

# B', G and A' of the paper's section 4.3, for the points 0, 1, -1, 2, -2 and infinity.
_INPUT: Final = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL: Final = np.array(
    ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24)), np.float64
) / np.array((24,))
_OUTPUT: Final = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)


def transform_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """Transform (3, 3, in, out) to (36, in, out)."""
    transform = tf.constant(np.kron(_KERNEL, _KERNEL), tf.float32)
    return tf.reshape(tf.matmul(transform, tf.reshape(kernel, [9, -1])), [36, *kernel.shape[2:]])


def to_tiles(x: tf.Tensor) -> tf.Tensor:
    """Transform each tile's 6x6 inputs: (1, height, width, channels) to (36, tiles, channels)."""
    rows, columns = tile_count(x.shape[1]), tile_count(x.shape[2])
    padding = [(1, _TILE * count + 1 - size) for count, size in zip((rows, columns), x.shape[1:3], strict=True)]
    plane = tf.pad(x[0], [*padding, (0, 0)])
    down = _apply(_INPUT, [plane[start : start + _TILE * (rows - 1) + 1 : _TILE] for start in range(_PATCH)], axis=0)
    across = [down[:, :, start : start + _TILE * (columns - 1) + 1 : _TILE] for start in range(_PATCH)]
    return tf.reshape(_apply(_INPUT, across, axis=1), [_PATCH**2, rows * columns, x.shape[3]])


def from_tiles(products: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Transform the products, (36, tiles, channels), back to (1, height, width, channels)."""
    rows, columns, channels = tile_count(height), tile_count(width), products.shape[2]
    grid = tf.reshape(products, [_PATCH, _PATCH, rows, columns, channels])
    down = _apply(_OUTPUT, tf.unstack(grid), axis=0)
    across = _apply(_OUTPUT, tf.unstack(down, axis=1), axis=1)
    plane = tf.reshape(tf.transpose(across, [2, 0, 3, 1, 4]), [1, _TILE * rows, _TILE * columns, channels])
    return plane[:, :height, :width]


def gradient_to_tiles(gradient: tf.Tensor) -> tf.Tensor:
    """Apply `from_tiles` transposed: (1, height, width, channels) to (36, tiles, channels)."""
    rows, columns = tile_count(gradient.shape[1]), tile_count(gradient.shape[2])
    padding = [(0, _TILE * count - size) for count, size in zip((rows, columns), gradient.shape[1:3], strict=True)]
    plane = tf.pad(gradient[0], [*padding, (0, 0)])
    down = _apply(_transposed(_OUTPUT), [plane[start::_TILE] for start in range(_TILE)], axis=0)
    across = _apply(_transposed(_OUTPUT), [down[:, :, start::_TILE] for start in range(_TILE)], axis=1)
    return tf.reshape(across, [_PATCH**2, rows * columns, gradient.shape[3]])


def gradient_from_tiles(products: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Apply `to_tiles` transposed: (36, tiles, channels) to (1, height, width, channels)."""
    rows, columns, channels = tile_count(height), tile_count(width), products.shape[2]
    grid = tf.reshape(products, [_PATCH, _PATCH, rows, columns, channels])
    down = _overlap_add(_row_sums(_transposed(_INPUT), tf.unstack(grid)), height)
    return _overlap_add(_row_sums(_transposed(_INPUT), tf.unstack(down)), width)[tf.newaxis]


def tile_count(size: int) -> int:
    """Return the number of tiles that cover a side."""
    return -(-size // _TILE)


def _overlap_add(parts: Sequence[tf.Tensor], size: int) -> tf.Tensor:
    """Sum tiles of 6 that start every 4 positions along axis 1, and return `size` positions without the margin of 1."""
    after, before = ([(0, 0), pad, *[(0, 0)] * (len(parts[0].shape) - 2)] for pad in ((0, 1), (1, 0)))
    starts, overlaps = [tf.pad(part, after) for part in parts[:_TILE]], [tf.pad(part, before) for part in parts[_TILE:]]
    cells = [start + overlap for start, overlap in zip(starts, overlaps, strict=False)] + starts[len(overlaps) :]
    first, count, *rest = starts[0].shape
    return tf.reshape(tf.stack(cells, axis=2), [first, _TILE * count, *rest])[:, 1 : size + 1]


def _transposed(matrix: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
    return tuple(zip(*matrix, strict=True))


def _apply(matrix: Sequence[Sequence[int]], parts: Sequence[tf.Tensor], *, axis: int) -> tf.Tensor:
    """Apply the matrix to the parts and stack the results. Written as sums because most factors are 0 or 1."""
    return tf.stack(_row_sums(matrix, parts), axis=axis)


def _row_sums(matrix: Sequence[Sequence[int]], parts: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Compute each multiple once. XLA would remove duplicates, but they take Python long to trace."""
    multiple = cache(lambda factor, index: parts[index] if factor == 1 else factor * parts[index])
    return [_row_sum(row, multiple) for row in matrix]


def _row_sum(factors: Sequence[int], multiple: Callable[[int, int], Any]) -> Any:
    positive = [multiple(factor, index) for index, factor in enumerate(factors) if factor > 0]
    negative = [multiple(-factor, index) for index, factor in enumerate(factors) if factor < 0]
    return reduce(sub, negative, reduce(add, positive)) if positive else -reduce(add, negative)
