"""Display P3, the wider of the two color spaces that a run can have, and the conversion between it and sRGB.

Both have the white point D65 and the same curve (IEC 61966-2-1). The primaries of Display P3 are more saturated.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.imaging.matrix_profiles import P3_PRIMARIES, SRGB_CURVE, SRGB_PRIMARIES, to_xyz
from shared.recipe import ColorSpace

Levels = NDArray[np.uint8] | NDArray[np.uint16]

P3_TO_SRGB: Final[NDArray[np.float64]] = np.linalg.inv(to_xyz(SRGB_PRIMARIES)) @ to_xyz(P3_PRIMARIES)
"""From linear Display P3 to linear sRGB, for columns. Colors that sRGB does not have are outside of [0, 1]."""

_SRGB_TO_P3: Final = np.linalg.inv(P3_TO_SRGB).astype(np.float64)
_MIN_LINEAR: Final = -3 / 255 / 12.92  # three levels of 255 below 0 and above 1: less is not visible
_MAX_LINEAR: Final = ((1 + 3 / 255 + 0.055) / 1.055) ** 2.4
_LINEAR_KNEE: Final = 0.0031308  # where the linear part of the curve ends, as light
_ROWS: Final = 256  # at a time, to save memory


def wide_share(pixels: Levels) -> float:
    """Return the share of the pixels of an image in Display P3, (height, width, 3 or more), that sRGB does not have."""
    table, wide = _linear_levels(pixels.dtype), 0
    weights = P3_TO_SRGB.astype(np.float32)
    for row in range(0, len(pixels), _ROWS):
        red, green, blue = (table[pixels[row : row + _ROWS, :, channel]] for channel in range(3))
        outside = np.zeros(red.shape, bool)
        for to_red, to_green, to_blue in weights:
            linear = to_red * red + to_green * green + to_blue * blue
            outside |= (linear < _MIN_LINEAR) | (linear > _MAX_LINEAR)
        wide += int(outside.sum())
    height, width = pixels.shape[:2]
    return wide / float(height * width)


def convert(pixels: Levels, source: ColorSpace, target: ColorSpace) -> Levels:
    """Return an image (height, width, 3 or 4) in another space, in 16 bits, or the image itself if it is in it.

    Colors that the target does not have are clipped. Alpha stays as it is.
    """
    if source == target:
        return pixels
    matrix = P3_TO_SRGB if target == "srgb" else _SRGB_TO_P3
    table = _linear_levels(pixels.dtype)
    result = np.multiply(pixels, 0xFFFF // np.iinfo(pixels.dtype).max, dtype=np.uint16)
    for row in range(0, len(pixels), _ROWS):
        rows = slice(row, row + _ROWS)
        linear = np.clip(_transformed(table[pixels[rows, :, :3]], matrix), 0, 1)
        encoded = np.where(linear <= _LINEAR_KNEE, 12.92 * linear, 1.055 * linear ** np.float32(1 / 2.4) - 0.055)
        result[rows, :, :3] = np.rint(encoded * 0xFFFF)
    return result


def _linear_levels(dtype: np.dtype[Any]) -> NDArray[np.float32]:
    """Return the light of each level of an image of this type."""
    levels = np.linspace(0, 1, np.iinfo(dtype).max + 1)
    gamma, slope, offset, toe, knee = SRGB_CURVE
    return np.where(levels <= knee, toe * levels, (slope * levels + offset) ** gamma).astype(np.float32)


def _transformed(pixels: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the product with each pixel, written out: BLAS adds in an order that depends on its number of threads."""
    columns = matrix.T.astype(np.float32)
    result: NDArray[np.float32] = sum(pixels[..., channel, None] * columns[channel] for channel in range(3))
    return result
