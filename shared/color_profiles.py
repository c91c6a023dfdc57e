"""Conversion of colors by ICC profiles."""

import io

from PIL import Image, ImageCms


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
    try:
        converted = ImageCms.profileToProfile(image, io.BytesIO(profile), srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image
    return image if converted is None else converted
