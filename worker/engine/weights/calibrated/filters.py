"""Learning of one layer's filters from its inputs: whitening and spherical k-means.

Coates and Ng, "Learning feature representations with k-means" (2012): patches are centered, normalized in contrast,
whitened, and clustered by direction; the centroids are the filters. Channels are first reduced to their principal
components, which keeps the matrices small. Random directions or random patches in place of the centroids make grainy
images.
"""

from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[np.float32]

PATCHES: Final = 8000
CHANNELS: Final = 160
"""Maximum number of principal components of the input's channels in a patch."""

KMEANS_ITERATIONS: Final = 6
VARIANCE_FLOOR: Final = 0.12
"""Variance added to every direction, as a share of the mean variance: without it, whitening would amplify noise."""


def learn_filters(inputs: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return `count` filters for 3x3 patches of `inputs`, (n, height, width, channels) float32, sides at least 3.

    Returns (kernel, bias), HWIO and O: over the patches each response has mean 0 and variance 1.
    """
    basis = _principal_components(inputs, rng)
    patches = _random_patches(product(inputs, basis), rng)
    normalized = _normalize(patches - patches.mean(0))
    whitening = _whitening_matrix(normalized)
    filters = product(whitening, _spherical_kmeans(_normalize(product(normalized, whitening)), count, rng).T)
    responses = product(patches, filters)
    scale = 1 / np.maximum(responses.std(0), 1e-6)
    taps: Array = tf.matmul(basis, (filters * scale).reshape(9, basis.shape[1], count)).numpy()
    return taps.reshape(3, 3, len(basis), count), -responses.mean(0) * scale


def product(left: Array, right: Array) -> Array:
    """Return `left @ right` for (..., n) and (n, m), computed by TensorFlow.

    Its waiting threads sleep, whereas those of NumPy's OpenBLAS spin. That would be ten times slower on a machine that
    is busy or has fewer cores than it reports.
    """
    flat: Array = tf.matmul(left.reshape(-1, left.shape[-1]), right).numpy()
    return flat.reshape(*left.shape[:-1], -1)


def _principal_components(images: Array, rng: np.random.Generator) -> Array:
    """Return the orthonormal directions of largest variance, (channels, at most CHANNELS)."""
    pixels = images.reshape(-1, images.shape[-1])
    if pixels.shape[1] <= CHANNELS:
        return np.eye(pixels.shape[1], dtype=np.float32)
    pixels = pixels[rng.integers(len(pixels), size=2 * PATCHES)]
    pixels = pixels - pixels.mean(0)
    axes: Array = tf.linalg.eigh(product(pixels.T, pixels))[1].numpy()
    return axes[:, : -CHANNELS - 1 : -1]


def _random_patches(images: Array, rng: np.random.Generator) -> Array:
    """Return PATCHES patches, (PATCHES, 9 * channels), tap by tap; none touches the border, where padding acts."""
    n, height, width, _ = images.shape
    image, top, left = (rng.integers(limit, size=PATCHES) for limit in (n, height - 2, width - 2))
    return np.concatenate([images[image, top + y, left + x] for y in range(3) for x in range(3)], axis=1)


def _whitening_matrix(patches: Array) -> Array:
    """Return W, so that the columns of `patches @ W` are uncorrelated and have about equal variance.

    Any root of the covariance will do, because k-means is invariant to rotation, and Cholesky's costs a hundredth of an
    eigendecomposition.
    """
    covariance = product(patches.T, patches) / np.float32(len(patches))
    covariance += VARIANCE_FLOOR * covariance.trace() / len(covariance) * np.eye(len(covariance), dtype=np.float32)
    whitening: Array = tf.linalg.solve(covariance, tf.linalg.cholesky(covariance)).numpy()
    return whitening


def _normalize(vectors: Array) -> Array:
    """Scale every row to a length of about 1; a row much shorter than the others stays short."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    normalized: Array = vectors / (lengths + 0.1 * np.median(lengths)).astype(np.float32)
    return normalized


def _spherical_kmeans(rows: Array, count: int, rng: np.random.Generator) -> Array:
    """Return `count` unit vectors, (count, dimensions), each the mean direction of the rows nearest to it."""
    centroids = rows[rng.choice(len(rows), count, replace=False)]
    for _ in range(KMEANS_ITERATIONS):
        centroids = centroids / np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-6)
        nearest = product(rows, centroids.T).argmax(1)
        sums: Array = tf.math.unsorted_segment_sum(rows, nearest, count).numpy()
        centroids = np.where(sums.any(1, keepdims=True), sums, centroids)  # one without rows stays where it is
    return centroids
