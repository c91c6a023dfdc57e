"""Patches of the styles, turned and mirrored."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from worker.engine.patches.colors import Pixels

_PATCHES_PER_VIEW: Final = 6000  # of all styles together
_ORIENTATIONS: Final = 8
_FREE_ROTATIONS: Final = 4
_INSIDE: Final = 1 - 1e-3  # of a mask's maximum; rotations interpolate


def sample_patches(
    styles: Sequence[Pixels], shares: Sequence[float], patch: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return random patches of the styles, (count, patch, patch, 3), at most 6,000 of each of 12 views.

    Styles are (height, width, 4): their colors, and their masks, inside of which patches lie. `shares` are the styles'
    shares of the patches. No side of a style is shorter than a patch.
    """
    limits = [round(_PATCHES_PER_VIEW * share) for share in shares]
    most = (_ORIENTATIONS + _FREE_ROTATIONS) * sum(limits)
    patches, count = np.empty((most, patch, patch, 3), np.float32), 0  # in place: the copies would be of 250 MB each
    for style, limit in zip(styles, limits, strict=True):
        for view, valid in _views(style, patch, random) if limit else ():
            rows, columns = np.nonzero(valid)
            picked = np.sort(random.permutation(len(rows))[:limit])
            windows = sliding_window_view(view[..., :3], (patch, patch, 3))[:, :, 0]
            patches[count : count + len(picked)] = windows[rows[picked], columns[picked]]
            count += len(picked)
    return patches[:count]


def _views(style: Pixels, patch: int, random: np.random.Generator) -> Iterator[tuple[Pixels, NDArray[np.bool_]]]:
    """Yield 8 orientations and 4 free rotations of the style, each with a mask of where a patch may begin."""
    for turns in range(_ORIENTATIONS // 2):
        for mirrored in (style, style[:, ::-1]):
            view = np.rot90(mirrored, turns)
            outside = _outside(view[..., 3], patch)
            yield view, outside == outside.min()  # 0, unless the mask is smaller than a patch
    for quadrant in range(_FREE_ROTATIONS):
        degrees = 90 * quadrant + random.uniform(15, 75)
        view = np.stack([_rotate(style[..., channel], degrees) for channel in range(4)], axis=-1)
        yield view, _outside(view[..., 3], patch) == 0


def _outside(mask: NDArray[np.float32], patch: int) -> NDArray[np.int_]:
    """Return how many pixels of each patch lie outside of a mask."""
    sums = np.pad((mask < _INSIDE * mask.max()).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    top, bottom = sums[:-patch], sums[patch:]
    count: NDArray[np.int_] = bottom[:, patch:] - bottom[:, :-patch] - top[:, patch:] + top[:, :-patch]
    return count


def _rotate(channel: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(channel).rotate(degrees, Image.Resampling.BICUBIC))
