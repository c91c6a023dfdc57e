"""The transfer of a color distribution.

Products over pixels are written out: BLAS adds in an order that depends on its number of threads.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
"""(..., 3) RGB, usually in [0, 1]."""

_SLICED_SHARE: Final = 0.8
_ROUNDS: Final = 30
_STEP: Final = 0.7
_MIN_VARIANCE: Final = 1e-6
_MIN_WEIGHT: Final = 1e-6  # of a pixel, so that an empty region has moments too


class ColorDistribution:
    """The colors of the styles, to be given to an image."""

    def __init__(self, pixels: Pixels) -> None:
        """`pixels` is (n, 3): colors of all styles, each in the proportion of its weight."""
        self.pixels = pixels
        self.mean, self._covariance = _moments(pixels)
        self.deviation = np.sqrt(np.diag(self._covariance)).astype(np.float32)

    def transfer(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """Return the image with these colors: mostly the sliced transport, smoothed by the linear map. In [0, 1]."""
        mixed = _SLICED_SHARE * self._sliced(image, random) + (1 - _SLICED_SHARE) * self.match_moments(image)
        return np.clip(mixed, 0, 1).astype(np.float32)

    def match_moments(self, image: Pixels, weights: Pixels | None = None) -> Pixels:
        """Return the image with the mean mu and covariance S of these colors: the linear Monge-Kantorovich map.

        x -> mu + T (x - mu_x) with T = C^(-1/2) (C^(1/2) S C^(1/2))^(1/2) C^(-1/2), where C is the image's covariance.
        `weights`, (height, width, 1), say how much a pixel counts in mu_x and C. Pitie and Kokaram, "The linear
        Monge-Kantorovitch linear colour mapping for example-based colour transfer", CVMP 2007.
        """
        mean, covariance = _moments(image, weights)
        root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
        matrix = inverse @ _power(root @ self._covariance @ root, 0.5) @ inverse
        return (transform_pixels(image - mean, matrix) + self.mean).astype(np.float32)

    def _sliced(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """Return the image after iterative transport along random axes.

        Pitie, Kokaram and Dahyot, "Automated colour grading using colour distribution transfer", CVIU 2007.
        """
        moved = image.reshape(-1, 3).copy()
        ranks = (np.arange(len(moved)) + 0.5) / len(moved) * len(self.pixels) - 0.5
        for _ in range(_ROUNDS):
            axes = np.linalg.qr(random.standard_normal((3, 3)))[0].astype(np.float32)
            source, target = transform_pixels(moved, axes), np.sort(transform_pixels(self.pixels, axes), axis=0)
            shift = np.empty_like(source)
            for axis in range(3):
                order = np.argsort(source[:, axis], kind="stable")
                values = np.interp(ranks, np.arange(len(target)), target[:, axis])
                shift[order, axis] = values - source[order, axis]
            moved += _STEP * transform_pixels(shift, axes.T)
        return moved.reshape(image.shape)


def _moments(image: Pixels, weights: Pixels | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean (3,) and the covariance (3, 3) of the colors."""
    pixels = image.reshape(-1, 3).astype(np.float64)
    counts = np.ones(len(pixels)) if weights is None else weights.ravel() + _MIN_WEIGHT
    mean = (counts[:, None] * pixels).sum(axis=0) / counts.sum()
    centered = pixels - mean
    covariance = np.einsum("ni,nj->ij", counts[:, None] * centered, centered) / counts.sum()
    return mean, covariance + _MIN_VARIANCE * np.eye(3)


def _power(matrix: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Return the power of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    result: NDArray[np.float64] = (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T
    return result


def transform_pixels(pixels: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    """Return `pixels @ matrix` for (..., 3) and (3, 3)."""
    result: NDArray[Any] = sum(pixels[..., row, None] * matrix[row] for row in range(3))
    return result
