"""The blend of overlapping patches into an image."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.engine.patches.colors import Pixels
from worker.engine.patches.search import Indices

_ROUNDS: Final = 4
_EXPONENT: Final = 0.5
_SOFTENING: Final = 1e-4  # squared difference of colors below which patches count as equal
_WINDOW_DEVIATION: Final = 0.25  # of the patch's side


def blend(
    patches: NDArray[np.float32], matches: Indices, rows: Indices, columns: Indices, size: tuple[int, int]
) -> Pixels:
    """Return the image x that minimizes sum_ij w_ij |x - z_ij|^r with r = 0.5 over the patches z_ij; (h, w, 3).

    `matches` (rows, columns) are the numbers of the patches at these places, w a Gaussian window. Solved by iteratively
    reweighted least squares: a patch that disagrees with the others counts less, which keeps strokes sharp (Elad and
    Milanfar, section III).
    """
    cover = _Cover(patches, matches, rows, columns)
    patch_weights: NDArray[np.floating] = np.ones(matches.shape, np.float32)
    for _ in range(_ROUNDS):
        error = cover.squared_error(cover.mean(patch_weights, size)) / patches.shape[1] ** 2
        patch_weights = (error + _SOFTENING) ** (_EXPONENT / 2 - 1)
    return cover.mean(patch_weights, size)


@dataclass(frozen=True)
class _Cover:
    """Patches laid over an image."""

    patches: NDArray[np.float32]  # (count, side, side, 3)
    matches: Indices  # (rows, columns)
    rows: Indices
    columns: Indices

    def mean(self, patch_weights: NDArray[np.floating], size: tuple[int, int]) -> Pixels:
        """Return the mean of the patches at each pixel, weighted by `patch_weights` (rows, columns) and the window."""
        total, total_weight = np.zeros((*size, 3), np.float32), np.zeros((*size, 1), np.float32)
        window = _window(self.patches.shape[1])
        for y, x, place in self._pixels():
            weight = (window[y] * window[x] * patch_weights)[..., None]
            total[place] += weight * self.patches[self.matches, y, x]
            total_weight[place] += weight
        return total / total_weight

    def squared_error(self, image: Pixels) -> NDArray[np.float32]:
        """Return the squared difference of each patch from the image, (rows, columns)."""
        error = np.zeros(self.matches.shape, np.float32)
        for y, x, place in self._pixels():
            error += ((self.patches[self.matches, y, x] - image[place]) ** 2).sum(axis=-1)
        return error

    def _pixels(self) -> Iterator[tuple[int, int, tuple[Indices, ...]]]:
        """Yield each position in a patch, and where it lies in the image for all patches."""
        for y in range(self.patches.shape[1]):
            for x in range(self.patches.shape[1]):
                yield y, x, np.ix_(self.rows + y, self.columns + x)


def _window(patch: int) -> NDArray[np.float32]:
    side = np.arange(patch) - (patch - 1) / 2
    window: NDArray[np.float32] = np.exp(-0.5 * (side / (_WINDOW_DEVIATION * patch)) ** 2).astype(np.float32)
    return window
