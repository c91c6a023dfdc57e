"""One layer's filters, learned from what the layer sees: whitening and spherical k-means.

Coates and Ng, "Learning feature representations with k-means" (2012): patches less their mean, of equal
contrast, whitened, clustered by direction; the centroids are the filters. Two departures. Channels are first reduced
to their principal components, which keeps the matrices small. And plain whitening would blow up whatever is rare,
noise first of all, so the patches are first cleaned of what a disturbance of the image does to them (Wiener).
"""

from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[np.float32]
Indices = NDArray[np.int64]

PATCHES: Final = 8000
CHANNELS: Final = 160
"""At most so many principal components of the input's channels make up a patch."""

ROUNDS: Final = 6
NOISE_SHARE: Final = 4.0
"""How many times stronger than it was made the disturbance is taken to be."""

FLOOR: Final = 0.12
"""Variance added to every direction, as a share of the mean one: what hardly ever varies stays quiet."""


def learn_filters(seen: Array, disturbed: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """`count` filters for 3x3 patches of `seen`, deaf to how `disturbed` differs from it.

    Both are (n, height, width, channels) float32, height and width at least 3. Returns (kernel, bias), HWIO and O:
    over the patches each response has mean 0 and variance 1.
    """
    basis, where = _principal(seen, rng), _positions(seen.shape, rng)
    patches = _patches(product(seen, basis), where)
    noise = _patches(product(disturbed, basis), where) - patches
    whiten, units = _whitened(patches, noise)
    filters = product(whiten, _spherical_kmeans(units, count, rng).T)
    responses = product(patches, filters)
    scale = 1 / np.maximum(responses.std(0), 1e-6)
    taps: Array = tf.matmul(basis, (filters * scale).reshape(9, basis.shape[1], count)).numpy()
    return taps.reshape(3, 3, len(basis), count), -responses.mean(0) * scale


def product(left: Array, right: Array) -> Array:
    """`left @ right` for (..., n) and (n, m), by TensorFlow: its threads sleep while they wait, where those of numpy's
    OpenBLAS spin, which makes this ten times slower on a machine that has other work, or fewer cores than it shows.
    """  # noqa: D205
    flat: Array = tf.matmul(left.reshape(-1, left.shape[-1]), right).numpy()
    return flat.reshape(*left.shape[:-1], -1)


def _principal(images: Array, rng: np.random.Generator) -> Array:
    """(channels, at most CHANNELS): the orthonormal directions along which pixels spread most."""
    pixels = images.reshape(-1, images.shape[-1])
    if pixels.shape[1] <= CHANNELS:
        return np.eye(pixels.shape[1], dtype=np.float32)
    pixels = pixels[rng.integers(len(pixels), size=2 * PATCHES)]
    pixels = pixels - pixels.mean(0)
    axes: Array = tf.linalg.eigh(product(pixels.T, pixels))[1].numpy()
    return axes[:, : -CHANNELS - 1 : -1]


def _positions(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Indices, Indices, Indices]:
    """(image, top, left) of PATCHES patches that do not touch the border, where padding would show."""
    n, height, width, _ = shape
    return rng.integers(n, size=PATCHES), rng.integers(height - 2, size=PATCHES), rng.integers(width - 2, size=PATCHES)


def _patches(images: Array, where: tuple[Indices, Indices, Indices]) -> Array:
    """(PATCHES, 9 * channels), tap by tap."""
    image, top, left = where
    return np.concatenate([images[image, top + y, left + x] for y in range(3) for x in range(3)], axis=1)


def _whitened(patches: Array, noise: Array) -> tuple[Array, Array]:
    """(matrix from patches to whitened ones, the whitened patches with length about 1).

    Wiener's estimate of the undisturbed patch, S (S + N)^-1 x, and then whitened: S^(1/2) (S + N)^-1 x. Any root of S
    will do, for k-means does not mind a rotation, and Cholesky's costs a hundredth of an eigendecomposition.
    """
    centered = patches - patches.mean(0)
    flat = _even(centered)
    noise = noise * (np.linalg.norm(flat) / np.linalg.norm(centered))
    signal = product(flat.T, flat) / np.float32(len(flat))
    signal += FLOOR * signal.trace() / len(signal) * np.eye(len(signal), dtype=np.float32)
    disturbed = signal + np.float32(NOISE_SHARE / len(noise)) * product(noise.T, noise)
    whiten: Array = tf.linalg.solve(disturbed, tf.linalg.cholesky(signal)).numpy()
    return whiten, _even(product(flat, whiten))


def _even(vectors: Array) -> Array:
    """Every row's length towards 1; a row much shorter than the rest stays short."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    even: Array = vectors / (lengths + 0.1 * np.median(lengths)).astype(np.float32)
    return even


def _spherical_kmeans(units: Array, count: int, rng: np.random.Generator) -> Array:
    """(count, dimensions): directions of length 1, each the mean direction of the rows nearest to it."""
    centroids = _directions(units[rng.choice(len(units), count, replace=False)])
    for _ in range(ROUNDS):
        nearest = product(units, centroids.T).argmax(1)
        sums = _sums(units, nearest, count)
        lost = np.bincount(nearest, minlength=count) == 0
        sums[lost] = units[rng.choice(len(units), lost.sum(), replace=False)]
        centroids = _directions(sums)
    return centroids


def _sums(rows: Array, group: Indices, count: int) -> Array:
    """(count, dimensions): the sum of each group's rows, zero for an empty group."""
    order = np.argsort(group, kind="stable")
    present, first = np.unique(group[order], return_index=True)
    sums = np.zeros((count, rows.shape[1]), np.float32)
    sums[present] = np.add.reduceat(rows[order], first, axis=0)
    return sums


def _directions(vectors: Array) -> Array:
    directions: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return directions
