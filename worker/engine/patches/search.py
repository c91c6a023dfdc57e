"""The search for the best patch: exact nearest neighbors in 48 principal components, as matrix products."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from worker.engine.patches.colors import Pixels

Indices = NDArray[np.intp]

_COMPONENTS: Final = 48
_PCA_PATCHES: Final = 8000
_PLACE_BLOCK: Final = 1024
_KEY_BLOCK: Final = 4096
_CHUNK: Final = 8192  # patches that exist as pixels at the same time


class PatchIndex:
    """Patches, and the search among them."""

    def __init__(self, patches: NDArray[np.float32], random: np.random.Generator) -> None:
        """`patches` is (count, side, side, 3)."""
        self.patches, self.side = patches, patches.shape[1]
        vectors = patches.reshape(len(patches), -1)
        sample = vectors[np.sort(random.permutation(len(vectors))[:_PCA_PATCHES])]
        self._mean = sample.mean(axis=0)
        centered = tf.constant(sample - self._mean)
        with tf.device("CPU"):  # the same on every machine, and small
            components = tf.linalg.eigh(tf.matmul(centered, centered, transpose_a=True))[1]
        self._basis = components[:, -_COMPONENTS:]
        self._coordinates = self._project(vectors[block] for block in _blocks(len(vectors), _CHUNK))

    def best_matches(self, image: Pixels, rows: Indices, columns: Indices) -> Indices:
        """Return the number of the best patch for each place, (rows, columns).

        The best patch k for q minimizes d(q, k) - min(d_k, 3 median d), where d is the squared distance and d_k the
        distance from k to its nearest place: patches that would otherwise never be used are favored.
        """
        windows = sliding_window_view(image, (self.side, self.side, 3))[:, :, 0]
        count = rows.size * columns.size
        places = self._project(
            windows[np.ix_(some_rows, columns)].reshape(some_rows.size * columns.size, -1)
            for some_rows in np.array_split(rows, -(-count // _CHUNK))
        )
        lengths = tf.reduce_sum(self._coordinates**2, axis=1)
        nearest = lengths.numpy() + self._nearest_places(places)
        bias = lengths - np.minimum(nearest, 3 * np.median(nearest))
        best = [self._best_keys(places[block], bias) for block in _blocks(count, _PLACE_BLOCK)]
        return np.concatenate(best).reshape(rows.size, columns.size)

    def _project(self, chunks: Iterator[NDArray[np.float32]]) -> tf.Tensor:
        return tf.concat([tf.matmul(chunk - self._mean, self._basis) for chunk in chunks], axis=0)

    def _nearest_places(self, places: tf.Tensor) -> NDArray[np.float32]:
        """Return the squared distance from each key to its nearest place, less the key's own square; (keys,)."""
        squares, count = tf.reduce_sum(places**2, axis=1, keepdims=True), len(self.patches)
        least = np.full(count, np.inf, np.float32)
        for keys in _blocks(count, _KEY_BLOCK):
            for block in _blocks(places.shape[0], _PLACE_BLOCK):
                distances = _least_by_key(places[block], squares[block], self._coordinates[keys])
                np.minimum(least[keys], distances.numpy(), out=least[keys])
        return least

    def _best_keys(self, places: tf.Tensor, bias: tf.Tensor) -> Indices:
        """Return the number of the key with the least `bias` - 2 q k for each place; (places,)."""
        least, best = np.full(places.shape[0], np.inf, np.float32), np.zeros(places.shape[0], np.intp)
        for block in _blocks(len(self.patches), _KEY_BLOCK):
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


def _blocks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
