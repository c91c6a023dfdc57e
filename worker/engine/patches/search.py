"""The search for the best patch of a style: exact nearest neighbors in PCA coordinates, as matrix products."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from worker.engine.patches.colors import Pixels

Indices = NDArray[np.intp]

_COMPONENTS: Final = 48
_KEYS_PER_VIEW: Final = 6000
_FREE_ROTATIONS: Final = 4
_PCA_PATCHES: Final = 8000
_PLACE_BLOCK: Final = 1024
_KEY_BLOCK: Final = 4096
_CHUNK: Final = 8192  # patches that exist as pixels at the same time


@dataclass(frozen=True)
class _Keys:
    """Where patches of side `patch` lie in a flat array of pixels."""

    pixels: Pixels  # (n, 3): all views, one after another
    corners: Indices  # (keys,): index of each patch's first pixel
    row_lengths: Indices  # (keys,): of the view that the patch is in
    patch: int

    def vectors(self, numbers: Indices) -> NDArray[np.float32]:
        """Return patches as vectors, (n, 3 patch^2)."""
        side = np.arange(self.patch)
        rows = self.corners[numbers, None] + side * self.row_lengths[numbers, None]
        vectors: NDArray[np.float32] = self.pixels[rows[..., None] + side].reshape(len(numbers), -1)
        return vectors


class PatchIndex:
    """Patches of the styles, also turned and mirrored, and the search among them."""

    def __init__(
        self, styles: Sequence[Pixels], shares: Sequence[float], patch: int, random: np.random.Generator
    ) -> None:
        """`shares` are the styles' shares of the patches; they sum to 1. A style smaller than `patch` has none."""
        self.patch = patch
        self._keys = _collect(styles, shares, patch, random)
        count = len(self._keys.corners)
        sample = self._keys.vectors(random.permutation(count)[:_PCA_PATCHES])
        self._mean = sample.mean(axis=0)
        centered = tf.constant(sample - self._mean)
        with tf.device("CPU"):  # the same on every machine, and small
            vectors = tf.linalg.eigh(tf.matmul(centered, centered, transpose_a=True))[1]
        self._basis = vectors[:, -_COMPONENTS:]
        self._coordinates = self._project(self._keys.vectors(chunk) for chunk in _chunks(count))

    def best_matches(self, image: Pixels, rows: Indices, columns: Indices) -> Indices:
        """Return the number of the best patch for each place, (rows, columns).

        The best patch k for q minimizes d(q, k) - min(d_k, 3 median d), where d is the squared distance and d_k the
        distance from k to its nearest place: patches that would otherwise never be used are favored.
        """
        windows = sliding_window_view(image, (self.patch, self.patch, 3))[:, :, 0]
        count = rows.size * columns.size
        places = self._project(
            windows[rows[chunk // columns.size], columns[chunk % columns.size]].reshape(len(chunk), -1)
            for chunk in _chunks(count)
        )
        lengths = tf.reduce_sum(self._coordinates**2, axis=1)
        nearest = lengths.numpy() + self._nearest_places(places)
        bias = lengths - np.minimum(nearest, 3 * np.median(nearest))
        best = [self._best_keys(places[block], bias) for block in _blocks(count, _PLACE_BLOCK)]
        return np.concatenate(best).reshape(rows.size, columns.size)

    def pixel(self, numbers: Indices, y: int, x: int) -> Pixels:
        """Return the pixel at row y and column x of the patches with these numbers, (..., 3)."""
        keys = self._keys
        pixels: Pixels = keys.pixels[keys.corners[numbers] + y * keys.row_lengths[numbers] + x]
        return pixels

    def _project(self, chunks: Iterator[NDArray[np.float32]]) -> tf.Tensor:
        return tf.concat([tf.matmul(chunk - self._mean, self._basis) for chunk in chunks], axis=0)

    def _nearest_places(self, places: tf.Tensor) -> NDArray[np.float32]:
        """Return the squared distance from each key to its nearest place, less the key's own square; (keys,)."""
        squares, count = tf.reduce_sum(places**2, axis=1, keepdims=True), len(self._keys.corners)
        least = np.full(count, np.inf, np.float32)
        for keys in _blocks(count, _KEY_BLOCK):
            for block in _blocks(places.shape[0], _PLACE_BLOCK):
                distances = _least_by_key(places[block], squares[block], self._coordinates[keys])
                np.minimum(least[keys], distances.numpy(), out=least[keys])
        return least

    def _best_keys(self, places: tf.Tensor, bias: tf.Tensor) -> Indices:
        """Return the number of the key with the least |k|^2 - 2 q k - bonus for each place; (places,)."""
        least, best = np.full(places.shape[0], np.inf, np.float32), np.zeros(places.shape[0], np.intp)
        for block in _blocks(len(self._keys.corners), _KEY_BLOCK):
            values, numbers = (
                tensor.numpy() for tensor in _least_by_place(places, self._coordinates[block], bias[block])
            )
            better = values < least
            least[better], best[better] = values[better], numbers[better] + block.start
        return best


@tf.function(  # type: ignore[untyped-decorator]
    input_signature=[tf.TensorSpec((None, None)), tf.TensorSpec((None, 1)), tf.TensorSpec((None, None))]
)
def _least_by_key(places: tf.Tensor, squares: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    return tf.reduce_min(squares - 2 * tf.matmul(places, keys, transpose_b=True), axis=0)


@tf.function(  # type: ignore[untyped-decorator]
    input_signature=[tf.TensorSpec((None, None)), tf.TensorSpec((None, None)), tf.TensorSpec((None,))]
)
def _least_by_place(places: tf.Tensor, keys: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    values = bias - 2 * tf.matmul(places, keys, transpose_b=True)
    numbers = tf.argmin(values, axis=1)
    return tf.gather(values, numbers, batch_dims=1), numbers


def _collect(styles: Sequence[Pixels], shares: Sequence[float], patch: int, random: np.random.Generator) -> _Keys:
    pixels, corners, row_lengths, start = [], [], [], 0
    for style, share in zip(styles, shares, strict=True):
        limit = max(1, round(_KEYS_PER_VIEW * share))
        for view, inside in _views(style, random):
            height, width = view.shape[:2]
            if min(height, width) < patch or not share:
                continue
            whole = sliding_window_view(inside, (patch, patch)).all(axis=(2, 3))
            rows, columns = np.nonzero(whole)
            picked = np.sort(random.permutation(len(rows))[:limit])
            pixels.append(view.reshape(-1, 3))
            corners.append(start + rows[picked] * width + columns[picked])
            row_lengths.append(np.full(len(picked), width))
            start += height * width
    return _Keys(np.concatenate(pixels), np.concatenate(corners), np.concatenate(row_lengths), patch)


def _views(style: Pixels, random: np.random.Generator) -> Iterator[tuple[Pixels, NDArray[np.bool_]]]:
    """Yield the style in 8 orientations and 4 free rotations, each with a mask of the pixels inside of it."""
    everywhere = np.ones(style.shape[:2], np.bool_)
    for turns in range(4):
        for mirrored in (style, style[:, ::-1]):
            yield np.rot90(mirrored, turns), np.rot90(everywhere, turns)
    for quadrant in range(_FREE_ROTATIONS):
        degrees = 90 * quadrant + random.uniform(15, 75)
        channels = [_rotate(style[..., channel], degrees) for channel in range(3)]
        yield np.stack(channels, axis=-1), _rotate(everywhere.astype(np.float32), degrees) > 1 - 1e-3


def _rotate(channel: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(channel).rotate(degrees, Image.Resampling.BICUBIC))


def _blocks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _chunks(count: int) -> Iterator[Indices]:
    for block in _blocks(count, _CHUNK):
        yield np.arange(block.start, block.stop)
