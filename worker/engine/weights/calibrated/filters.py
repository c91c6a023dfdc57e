"""Learning of one layer's filters from its inputs: whitening and spherical k-means.

Coates and Ng, "Learning feature representations with k-means" (2012): patches are centered, normalized in contrast,
whitened, and clustered by direction; the centroids are the filters. There are two differences. Channels are first
reduced to their principal components, which keeps the matrices small. And because plain whitening would amplify
everything rare, noise above all, a Wiener filter first removes the noise that is measured on disturbed images.
"""

from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[np.float32]
Indices = NDArray[np.int64]

PATCHES: Final = 8000
CHANNELS: Final = 160
"""Maximum number of principal components of the input's channels in a patch."""

KMEANS_ITERATIONS: Final = 6
NOISE_SHARE: Final = 4.0
"""Factor by which the noise's covariance is multiplied."""

VARIANCE_FLOOR: Final = 0.12
"""Variance added to every direction, as a share of the mean variance: it keeps directions of little variance small."""


def learn_filters(inputs: Array, noisy_inputs: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return `count` filters for 3x3 patches of `inputs` that respond little to the noise in `noisy_inputs`.

    Both are (n, height, width, channels) float32, height and width at least 3. Returns (kernel, bias), HWIO and O:
    over the patches each response has mean 0 and variance 1.
    """
    basis, positions = _principal_components(inputs, rng), _random_positions(inputs.shape, rng)
    patches = _patches(product(inputs, basis), positions)
    noise = _patches(product(noisy_inputs, basis), positions) - patches
    whitening, whitened = _whiten(patches, noise)
    filters = product(whitening, _spherical_kmeans(whitened, count, rng).T)
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


def _random_positions(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Indices, Indices, Indices]:
    """Return (image, top, left) of PATCHES patches that do not touch the border, where padding has an influence."""
    n, height, width, _ = shape
    return rng.integers(n, size=PATCHES), rng.integers(height - 2, size=PATCHES), rng.integers(width - 2, size=PATCHES)


def _patches(images: Array, positions: tuple[Indices, Indices, Indices]) -> Array:
    """Return the patches at `positions`, (PATCHES, 9 * channels), tap by tap."""
    image, top, left = positions
    return np.concatenate([images[image, top + y, left + x] for y in range(3) for x in range(3)], axis=1)


def _whiten(patches: Array, noise: Array) -> tuple[Array, Array]:
    """Return the whitening matrix and the whitened patches, which have a length of about 1.

    Wiener's estimate of the noiseless patch, S (S + N)^-1 x, whitened: S^(1/2) (S + N)^-1 x. Any root of S will do,
    because k-means is invariant to rotation, and Cholesky's costs a hundredth of an eigendecomposition.
    """
    centered = patches - patches.mean(0)
    normalized = _normalize(centered)
    noise = noise * (np.linalg.norm(normalized) / np.linalg.norm(centered))
    signal = product(normalized.T, normalized) / np.float32(len(normalized))
    signal += VARIANCE_FLOOR * signal.trace() / len(signal) * np.eye(len(signal), dtype=np.float32)
    signal_and_noise = signal + np.float32(NOISE_SHARE / len(noise)) * product(noise.T, noise)
    whitening: Array = tf.linalg.solve(signal_and_noise, tf.linalg.cholesky(signal)).numpy()
    return whitening, _normalize(product(normalized, whitening))


def _normalize(vectors: Array) -> Array:
    """Scale every row to a length of about 1; a row much shorter than the others stays short."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    normalized: Array = vectors / (lengths + 0.1 * np.median(lengths)).astype(np.float32)
    return normalized


def _spherical_kmeans(rows: Array, count: int, rng: np.random.Generator) -> Array:
    """Return `count` unit vectors, (count, dimensions), each the mean direction of the rows nearest to it."""
    centroids = _unit_vectors(rows[rng.choice(len(rows), count, replace=False)])
    for _ in range(KMEANS_ITERATIONS):
        nearest = product(rows, centroids.T).argmax(1)
        sums = _group_sums(rows, nearest, count)
        empty = np.bincount(nearest, minlength=count) == 0
        sums[empty] = rows[rng.choice(len(rows), empty.sum(), replace=False)]
        centroids = _unit_vectors(sums)
    return centroids


def _group_sums(rows: Array, group: Indices, count: int) -> Array:
    """Return the sum of each group's rows, (count, dimensions); zero for an empty group."""
    order = np.argsort(group, kind="stable")
    present, first = np.unique(group[order], return_index=True)
    sums = np.zeros((count, rows.shape[1]), np.float32)
    sums[present] = np.add.reduceat(rows[order], first, axis=0)
    return sums


def _unit_vectors(vectors: Array) -> Array:
    units: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return units
