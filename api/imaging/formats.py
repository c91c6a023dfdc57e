"""The result in other file formats than PNG."""

import io

from PIL import Image

from easel.models import ImageFormat
from shared.images import encode_jpeg


def convert(png: bytes, name: ImageFormat, quality: int) -> bytes:
    """Return the image as another format, without metadata; TIFF is lossless, the others have this quality, 1 to 100.

    None has a color profile: without one, the colors are sRGB.
    """
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        pixels = image.convert("RGB")
    target = io.BytesIO()
    match name:
        case "png":
            return png
        case "jpeg":
            return encode_jpeg(pixels, quality=quality)
        case "webp":
            pixels.save(target, "WEBP", quality=quality)
        case "tiff":
            pixels.save(target, "TIFF", compression="tiff_adobe_deflate")
    return target.getvalue()
