"""ICC profiles: that of sRGB, and the conversion of colors to it."""

import io
import struct
from typing import Final

from PIL import Image, ImageCms


def _srgb_profile() -> bytes:
    """Return the profile without its time of creation, so that equal images give equal files (ICC.1:2022, 7.2.8)."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + struct.pack(">6H", 1999, 10, 18, 0, 0, 0) + profile[36:]  # when IEC 61966-2-1 was published


SRGB_PROFILE: Final = _srgb_profile()
"""The profile in every result file: what has one is shown alike everywhere."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert by the ICC profile. A profile that is broken or of another color space is ignored."""
    colors, alpha = image, None
    if image.mode in {"LA", "RGBA"}:
        colors, alpha = image.convert(image.mode[:-1]), image.getchannel("A")
    if profile:
        colors = _apply_profile(colors, profile)
    if alpha is not None:
        colors = colors.convert("RGB")
        colors.putalpha(alpha)
    return colors


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    colors = image.convert("RGB") if image.mode == "L" and profile[16:20] == b"RGB " else image
    try:
        converted = ImageCms.profileToProfile(colors, io.BytesIO(profile), srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image
    return image if converted is None else converted
