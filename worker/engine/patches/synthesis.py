"""The blend of overlapping patches into an image."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.engine.patches.colors import Pixels
from worker.engine.patches.search import Indices, PatchIndex

_ROUNDS: Final = 4
_EXPONENT: Final = 0.5
_SOFTENING: Final = 1e-4  # squared difference of colors below which patches count as equal
_WINDOW_DEVIATION: Final = 0.25  # of the patch's side


def blend(index: PatchIndex, numbers: Indices, rows: Indices, columns: Indices, size: tuple[int, int]) -> Pixels:
    """Return the image x that minimizes sum_ij w_ij |x - z_ij|^r with r = 0.5 over the patches z_ij; (h, w, 3).

    `numbers` (rows, columns) are the patches at these places, w a Gaussian window. Solved by iteratively reweighted
    least squares: a patch that disagrees with the others counts less, which keeps strokes sharp (Elad and Milanfar,
    section III).
    """
    cover = _Cover(index, numbers, rows, columns)
    trust: NDArray[np.floating] = np.ones(numbers.shape, np.float32)
    for _ in range(_ROUNDS):
        error = cover.squared_error(cover.mean(trust, size)) / index.patch**2
        trust = (error + _SOFTENING) ** (_EXPONENT / 2 - 1)
    return cover.mean(trust, size)


@dataclass(frozen=True)
class _Cover:
    """Patches laid over an image."""

    index: PatchIndex
    numbers: Indices  # (rows, columns)
    rows: Indices
    columns: Indices

    def mean(self, trust: NDArray[np.floating], size: tuple[int, int]) -> Pixels:
        """Return the mean of the patches at each pixel, weighted by `trust` (rows, columns) and the window."""
        total, weights = np.zeros((*size, 3), np.float32), np.zeros((*size, 1), np.float32)
        window = _window(self.index.patch)
        for y, x, place in self._pixels():
            weight = (window[y] * window[x] * trust)[..., None]
            total[place] += weight * self.index.pixel(self.numbers, y, x)
            weights[place] += weight
        return total / weights

    def squared_error(self, image: Pixels) -> NDArray[np.float32]:
        """Return the squared difference of each patch from the image, (rows, columns)."""
        error = np.zeros(self.numbers.shape, np.float32)
        for y, x, place in self._pixels():
            error += ((self.index.pixel(self.numbers, y, x) - image[place]) ** 2).sum(axis=-1)
        return error

    def _pixels(self) -> Iterator[tuple[int, int, tuple[Indices, ...]]]:
        """Yield each position in a patch, and where it lies in the image for all patches."""
        for y in range(self.index.patch):
            for x in range(self.index.patch):
                yield y, x, np.ix_(self.rows + y, self.columns + x)


def _window(patch: int) -> NDArray[np.float32]:
    side = np.arange(patch) - (patch - 1) / 2
    window: NDArray[np.float32] = np.exp(-0.5 * (side / (_WINDOW_DEVIATION * patch)) ** 2).astype(np.float32)
    return window
