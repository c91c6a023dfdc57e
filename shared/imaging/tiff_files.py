"""TIFF files that Pillow cannot open, or reads wrongly. libvips reads gray with alpha, and big-endian gray."""

import io
from collections.abc import Callable
from typing import Final

import pyvips
from PIL import Image, UnidentifiedImageError

from shared.errors import NotAnImage
from shared.imaging.containers.tiff import EXTRA_SAMPLES, PLANES, SAMPLE_FORMAT, first_value

_PHOTOMETRIC: Final = 262
_ONE_PLANE: Final = 1
_UNSIGNED: Final = 1
_UNSUPPORTED_SAMPLES: Final = {
    2: "levels with a sign, of which TIFF does not say which is black",
    3: "levels of floating point",
    5: "levels of complex numbers",
    6: "levels of complex numbers",
}
"""By SampleFormat (TIFF 6.0, section 19)."""


def openable_tiff(data: bytes, check_size: Callable[[tuple[int, int]], None]) -> bytes:
    """Return a file that Pillow can open: a gray TIFF that it cannot becomes a PNG.

    Raises NotAnImage for levels that are not unsigned integers, UnidentifiedImageError, and like `check_size`.
    """
    sample_format = first_value(data, SAMPLE_FORMAT, _UNSIGNED)
    if sample_format in _UNSUPPORTED_SAMPLES:
        raise unsupported(_UNSUPPORTED_SAMPLES[sample_format])
    try:
        Image.open(io.BytesIO(data), formats=("TIFF",)).close()
    except UnidentifiedImageError:
        gray = _open_gray(data)
        if gray is None:
            raise
        check_size((gray.width, gray.height))
        return bytes(gray.autorot().pngsave_buffer(compression=1, keep="icc"))
    return data


def unsupported(what: str) -> NotAnImage:
    """Return the error for an image of which `what` is not supported."""
    return NotAnImage(f"The image has {what}; save it in RGB with 8 or 16 bits.")


def is_white_zero(image: Image.Image) -> bool:
    """Return whether this is a TIFF in which 0 is white: PhotometricInterpretation 0. Pillow inverts 8 bits only."""
    return image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0  # type: ignore[attr-defined]  # of TiffImageFile


def _open_gray(data: bytes) -> pyvips.Image | None:
    """Return a gray image, with alpha if it has one, or None for any other file. No pixel is decoded yet.

    Separate planes of gray and alpha are left out: libvips mixes up their lines.
    """
    try:
        image = pyvips.Image.tiffload_buffer(data, fail_on="error")
    except pyvips.Error:
        return None
    is_gray = image.interpretation in {"grey16", "b-w"} and image.format in {"ushort", "uchar"}
    if not is_gray or image.get("n-pages") > 1 or first_value(data, PLANES, _ONE_PLANE) != _ONE_PLANE:
        return None
    has_alpha = image.bands == 2 and first_value(data, EXTRA_SAMPLES, 0)  # noqa: PLR2004 - else it has no meaning
    return image if has_alpha else image[0]
