"""ICC profiles: those that files get, and the conversion of colors from any other."""

import io
import itertools
import struct
from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from PIL import Image, ImageCms

from shared.imaging.display_p3 import Levels, wide_share
from shared.imaging.matrix_profiles import P3_PRIMARIES, SRGB_CURVE, matrix_profile
from shared.recipe import ColorSpace


def _srgb_profile() -> bytes:
    """Return the profile without its time of creation, so that equal images give equal files (ICC.1:2022, 7.2.8)."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + struct.pack(">6H", 1999, 10, 18, 0, 0, 0) + profile[36:]  # when IEC 61966-2-1 was published


SRGB_PROFILE: Final = _srgb_profile()
DISPLAY_P3_PROFILE: Final = matrix_profile(P3_PRIMARIES, SRGB_CURVE, description="Display P3")
PROFILES: Final[Mapping[ColorSpace, bytes]] = {"srgb": SRGB_PROFILE, "display-p3": DISPLAY_P3_PROFILE}
"""The profile of each color space. Every result file has one of them: what has one is shown alike everywhere."""

_SRGB: Final = "srgb"
_MIN_WIDE_SHARE: Final = 1e-4  # of an image: less is noise
_MIN_LATTICE_SHARE: Final = 0.1  # of the lattice; rounding alone reaches 0.03, Display P3 has 0.7
_LATTICE: Final = np.array([*itertools.product(range(0, 256, 51), repeat=3)], np.uint8)[np.newaxis]


def color_space_of(profile: bytes | None) -> ColorSpace:
    """Return the color space of a file of this project's own."""
    return "display-p3" if profile == DISPLAY_P3_PROFILE else "srgb"


def gamut_of(profile: bytes) -> ColorSpace | Literal["other"]:
    """Return `srgb` if sRGB has all colors of a profile, or if it is not of RGB; `other` if it is wide, but not P3.

    A lattice of colors is converted to Display P3, so the kind of the profile does not matter.
    """
    if profile[16:20] != b"RGB ":
        return "srgb"
    lattice = Image.fromarray(_LATTICE)
    converted = _apply_profile(lattice, profile, "display-p3")
    levels = np.asarray(converted)
    if converted is lattice or wide_share(levels) < _MIN_LATTICE_SHARE:  # the same object if the profile is broken
        return "srgb"
    return "display-p3" if np.abs(levels.astype(int) - _LATTICE).max() <= 1 else "other"


def has_wide_colors(pixels: Levels) -> bool:
    """Return whether an image in Display P3 has colors that sRGB does not have."""
    return wide_share(pixels) >= _MIN_WIDE_SHARE


def to_rgb(image: Image.Image, profile: bytes | None, *, wide: bool = False) -> tuple[Image.Image, ColorSpace]:
    """Convert by the ICC profile to sRGB, or if `wide`, an image whose colors sRGB does not have to Display P3.

    A profile that is broken or of another color space is ignored.
    """
    colors, alpha = image, None
    space: ColorSpace = _SRGB
    if image.mode in {"LA", "RGBA"}:
        colors, alpha = image.convert(image.mode[:-1]), image.getchannel("A")
    if profile:
        colors, space = _convert(colors, profile, wide=wide)
    if alpha is not None:
        colors = colors.convert("RGB")
        colors.putalpha(alpha)
    return colors, space


def _convert(image: Image.Image, profile: bytes, *, wide: bool) -> tuple[Image.Image, ColorSpace]:
    gamut = gamut_of(profile) if wide and image.mode == "RGB" else _SRGB
    if gamut != _SRGB:
        converted = image if gamut == "display-p3" else _apply_profile(image, profile, "display-p3")
        if has_wide_colors(np.asarray(converted)):
            return converted, "display-p3"
    return _apply_profile(image, profile, _SRGB), _SRGB


def _apply_profile(image: Image.Image, profile: bytes, target: ColorSpace) -> Image.Image:
    colors = image.convert("RGB") if image.mode == "L" and profile[16:20] == b"RGB " else image
    to = ImageCms.createProfile("sRGB") if target == _SRGB else io.BytesIO(DISPLAY_P3_PROFILE)
    try:
        converted = ImageCms.profileToProfile(colors, io.BytesIO(profile), to, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image
    return image if converted is None else converted
