"""The result in other file formats than PNG."""

from typing import Final, Literal

import pyvips

from shared.errors import BrokenImage
from shared.imaging.deep_color import load_png, profile_of

OtherFormat = Literal["jpeg", "webp", "tiff"]
LOSSY: Final = ("jpeg", "webp")
CONVERTER: Final = f"vips{pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}"
"""The library that encodes; another version may encode the same image to other bytes."""


def convert(png: bytes, image_format: OtherFormat, quality: int, *, xmp: bytes | None = None) -> bytes:
    """Return the image in another format; TIFF is lossless, the others have 8 bits and this quality, 1 to 100.

    It has the PNG's profile; `xmp` becomes its only other metadata. JPEG has no transparency: the image is shown on
    white. Raises BrokenImage.
    """
    try:
        return _convert(load_png(png).copy(), image_format, quality, xmp)
    except pyvips.Error as error:
        raise BrokenImage(str(error)) from error


def _convert(image: pyvips.Image, image_format: OtherFormat, quality: int, xmp: bytes | None) -> bytes:
    keep = pyvips.enums.ForeignKeep.ICC | pyvips.enums.ForeignKeep.XMP
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile_of(image))
    if xmp:
        image.set_type(pyvips.GValue.blob_type, "xmp-data", xmp)
    match image_format:
        case "jpeg":
            image = image.colourspace("srgb")  # 8 bits
            opaque = image.flatten(background=255) if image.hasalpha() else image
            converted: bytes = opaque.jpegsave_buffer(Q=quality, interlace=True, optimize_coding=True, keep=keep)
        case "webp":
            converted = image.colourspace("srgb").webpsave_buffer(Q=quality, keep=keep)
        case "tiff":
            converted = image.tiffsave_buffer(compression="deflate", predictor="horizontal", keep=keep)
    return converted
