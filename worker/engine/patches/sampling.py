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


def sample_patches(
    styles: Sequence[Pixels], shares: Sequence[float], patch: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return random patches of the styles, (count, patch, patch, 3), at most 6,000 of each of 12 views.

    `shares` are the styles' shares of the patches. No side of a style is shorter than a patch.
    """
    limits = [round(_PATCHES_PER_VIEW * share) for share in shares]
    most = (_ORIENTATIONS + _FREE_ROTATIONS) * sum(limits)
    patches, count = np.empty((most, patch, patch, 3), np.float32), 0  # in place: the copies would be of 250 MB each
    for style, limit in zip(styles, limits, strict=True):
        for view, valid in _views(style, patch, random) if limit else ():
            rows, columns = np.nonzero(valid)
            picked = np.sort(random.permutation(len(rows))[:limit])
            windows = sliding_window_view(view, (patch, patch, 3))[:, :, 0]
            patches[count : count + len(picked)] = windows[rows[picked], columns[picked]]
            count += len(picked)
    return patches[:count]


def _views(style: Pixels, patch: int, random: np.random.Generator) -> Iterator[tuple[Pixels, NDArray[np.bool_]]]:
    """Yield 8 orientations and 4 free rotations of the style, each with a mask of where a whole patch begins."""
    for turns in range(_ORIENTATIONS // 2):
        for mirrored in (style, style[:, ::-1]):
            view = np.rot90(mirrored, turns)
            yield view, np.ones((view.shape[0] - patch + 1, view.shape[1] - patch + 1), np.bool_)
    for quadrant in range(_FREE_ROTATIONS):
        degrees = 90 * quadrant + random.uniform(15, 75)
        view = np.stack([_rotate(style[..., channel], degrees) for channel in range(3)], axis=-1)
        inside = _rotate(np.ones(style.shape[:2], np.float32), degrees) > 1 - 1e-3
        top, bottom = inside[: 1 - patch], inside[patch - 1 :]
        corners = (top[:, : 1 - patch], top[:, patch - 1 :], bottom[:, : 1 - patch], bottom[:, patch - 1 :])
        yield view, np.logical_and.reduce(corners)  # the style is convex, so all between its corners is inside


def _rotate(channel: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(channel).rotate(degrees, Image.Resampling.BICUBIC))
