"""The recipe's `color`: whose colors the result has.

`match` gives the styles the content's mean color and covariance before anything else. `content` gives the result the
chroma of the content. Both follow Gatys, Bethge, Hertzmann and Shechtman, "Preserving Color in Neural Artistic Style
Transfer", 2016; the second in OkLab instead of YIQ.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.imaging.display_p3 import P3_TO_SRGB
from shared.recipe import ColorSpace
from worker.engine.image_ops import as_tensor, resize_longest_side
from worker.engine.patches.colors import ColorDistribution, Pixels, transform_pixels

_ENCODED_KNEE: Final = 0.04045  # where the linear part of the sRGB curve ends, as encoded
_LINEAR_KNEE: Final = 0.0031308  # and as light
_SAMPLE_SIDE: Final = 256  # pixels: the longest side of the content that its colors are counted in

# Ottosson, "A perceptual color space for image processing", 2020: linear sRGB to cone responses, their cube roots to
# OkLab.
_SRGB_TO_CONES: Final = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_CONES: Final[Mapping[ColorSpace, NDArray[np.float64]]] = {
    "srgb": _SRGB_TO_CONES,
    "display-p3": _SRGB_TO_CONES @ P3_TO_SRGB,
}
_TO_LAB: Final = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def match_colors(
    style: NDArray[Any], content: NDArray[Any], longest_side: int, strength: float = 1.0
) -> NDArray[np.float32]:
    """Return a style image moved to the content's colors by `strength`, as large as a run uses it at `longest_side`.

    It is never enlarged. Images are as in `stylize`.
    """
    sides = style.shape[:2]
    largest = round(longest_side * (max(sides) / min(sides)) ** 0.5)  # patch matching gives it the content's area
    image: Pixels = resize_longest_side(as_tensor(style), min(max(sides), largest)).numpy()
    scaled, mask = image[..., :3], image[..., 3:]
    colors = resize_longest_side(as_tensor(content), _SAMPLE_SIDE).numpy().reshape(-1, 3)
    matched: Pixels = np.clip(ColorDistribution(colors).match_moments(scaled, mask if mask.size else None), 0, 1)
    return np.concatenate([scaled + np.float32(strength) * (matched - scaled), mask], axis=-1)


def with_chroma(image: Pixels, source: Pixels, strength: float, space: ColorSpace = "srgb") -> Pixels:
    """Return `image` with its OkLab chroma moved to that of `source` by `strength`, in [0, 1].

    Lightness is kept where `space` has such a color; a saturated color that would be too bright gets darker.
    """
    lab, source_lab = to_oklab(image, space), to_oklab(source, space)
    lab[..., 1:] += strength * (source_lab[..., 1:] - lab[..., 1:])
    return from_oklab(lab, space)


def to_oklab(image: Pixels, space: ColorSpace = "srgb") -> NDArray[np.float64]:
    """Convert RGB in [0, 1], (..., 3), to OkLab: lightness in [0, 1], and two chroma axes, about -0.4 to 0.4."""
    encoded = image.astype(np.float64)
    linear = np.where(encoded <= _ENCODED_KNEE, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    lab: NDArray[np.float64] = transform_pixels(np.cbrt(transform_pixels(linear, _TO_CONES[space].T)), _TO_LAB.T)
    return lab


def from_oklab(lab: NDArray[np.float64], space: ColorSpace = "srgb") -> Pixels:
    """Convert OkLab to RGB, (..., 3) in [0, 1]; colors that the space does not have are clipped."""
    cones = transform_pixels(lab, np.linalg.inv(_TO_LAB).T) ** 3
    linear = np.clip(transform_pixels(cones, np.linalg.inv(_TO_CONES[space]).T), 0, 1)
    encoded = np.where(linear <= _LINEAR_KNEE, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    colors: Pixels = encoded.astype(np.float32)
    return colors
