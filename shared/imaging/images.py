"""Image decoding: untrusted files to upright sRGB pixels without metadata.

All functions are thread-safe. `Image.open` is called nowhere else in the project.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pi_heif import register_heif_opener
from PIL import ExifTags, Image, UnidentifiedImageError

from shared.errors import AnimatedImage, BrokenImage, EaselError, ImageTooLarge, ImageTooSlow, ImageTooSmall, NotAnImage
from shared.imaging.code_points import nclx_profile
from shared.imaging.color_profiles import to_rgb
from shared.imaging.containers import without_metadata
from shared.imaging.containers.jpeg import count_scans
from shared.imaging.png_colors import png_profile
from shared.imaging.tiff_files import is_white_zero, openable_tiff, unsupported
from shared.recipe import ColorSpace

ACCEPTED_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "HEIF")
"""Formats that `decode` accepts, by Pillow's names. The list is short because every decoder is an attack surface."""

FILE_SIGNATURES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF8", b"II*\x00", b"MM\x00*")
"""First bytes of ACCEPTED_FORMATS but for AVIF and HEIC. A file that starts so and cannot be opened is broken."""

MIN_SIDE: Final = 32
"""Pixels. VGG19 halves an image four times before block 5, which then still gets 2 x 2."""

MAX_SIDE: Final = 4096
"""Pixels: the largest `size` of a recipe, hence the largest side of stored inputs."""

_HEIF_FORMATS: Final = ("AVIF", "HEIF")
_HEIF_BRANDS: Final = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_TIFF_SIGNATURES: Final = FILE_SIGNATURES[4:]
_MAX_FULL_SCANS: Final = 20
"""Of a JPEG of the largest size. Encoders write about ten, files that are made to be slow hundreds."""

_UNSUPPORTED_MODES: Final = {
    "I": "levels of 32 bits",
    "F": "levels of 32-bit floating point",
    "LAB": "Lab colors",
}
_OPAQUE: Final = 255

_EXIF_TRANSPOSES: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that turns each Orientation of Exif 2.32 (tag 0x0112) upright."""

register_heif_opener(thumbnails=False)  # pi-heif adds HEIC to Pillow's formats

# Pillow's own limit is one number per process. `check_size` takes the limit as an argument and checks the header
# before any pixel is decoded. Set once, at import, so that no thread sees it change.
Image.MAX_IMAGE_PIXELS = None


def decode(data: bytes, *, max_pixels: int, background: str | None = "white") -> Image.Image:
    """Decode an untrusted file as a viewer would show it: mode RGB, sRGB, upright, no alpha, no metadata.

    Without a `background`, an image that is not opaque keeps its alpha: mode RGBA. 16 bits per channel become 8. CMYK
    and wide-gamut colors are converted with the embedded ICC profile, if any. `deep_color.decode` keeps 16 bits, and
    wide-gamut colors.

    Raises:
        NotAnImage: not in ACCEPTED_FORMATS, or with 32 bits per channel or levels with a sign, or in Lab.
        BrokenImage: truncated or corrupt.
        AnimatedImage: more than one frame or page. A phone's JPEG with a second image inside is accepted.
        ImageTooLarge: more than `max_pixels` according to the header.
        ImageTooSmall: a side shorter than MIN_SIDE.
        ImageTooSlow: a JPEG with hundreds of scans.
    """
    with opened(data, max_pixels) as (image, _):
        return decode_opened(image, background)[0]


def decode_opened(image: Image.Image, background: str | None, *, wide: bool = False) -> tuple[Image.Image, ColorSpace]:
    """Decode the image of `opened`, like `decode`; if `wide`, to Display P3 if it has colors that sRGB lacks."""
    image.load()
    transpose = _exif_transpose(image)
    colors, space = to_rgb(_to_eight_bits(image), image.info.get("icc_profile"), wide=wide)
    flat = _flatten(colors, background)
    upright = flat if transpose is None else flat.transpose(transpose)
    return Image.fromarray(np.asarray(upright)), space  # a new image, so that no metadata is left


@contextmanager
def opened(data: bytes, max_pixels: int) -> Iterator[tuple[Image.Image, bytes]]:
    """Open an untrusted file whose header is fine, and return the file without metadata, too. No pixel is decoded yet.

    The image's `info["icc_profile"]` is the profile to convert from, if any.

    Raises like `decode`, also for what goes wrong inside the block.
    """
    try:
        copy = without_metadata(data)
        if copy.startswith(_TIFF_SIGNATURES):
            copy = openable_tiff(copy, lambda size: check_size(size, max_pixels))
        with Image.open(io.BytesIO(copy), formats=ACCEPTED_FORMATS) as image:
            check_size(image.size, max_pixels)
            _check_single(image)
            _check_scans(image, copy, max_pixels)
            image.info.pop("xmp", None)  # no browser turns an image by its XMP; Pillow would
            if image.format == "PNG":
                image.info["icc_profile"] = png_profile(copy)
            elif image.format in _HEIF_FORMATS and not image.info.get("icc_profile"):
                image.info["icc_profile"] = nclx_profile(copy)
            yield image, copy
    except (EaselError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except Exception as error:  # on broken files, decoders raise anything: struct.error, KeyError ...
        raise _broken(data, "The image is truncated or corrupt") from error


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Raise ImageTooLarge or ImageTooSmall unless (width, height) is accepted."""
    width, height = size
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels; at most {max_pixels:,} are accepted. Scale it down first."
        )
    if min(size) < MIN_SIDE:
        raise ImageTooSmall(f"The image has {width} x {height} pixels; each side must have at least {MIN_SIDE}.")


def fit_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return (width, height) scaled up or down so that the longest side is `longest` pixels.

    Raises ImageTooSmall if the short side would be under MIN_SIDE.
    """
    scale = longest / max(size)
    width, height = (round(side * scale) for side in size)
    if min(width, height) < MIN_SIDE:
        raise ImageTooSmall(
            f"With a longest side of {longest} pixels the image would be {width} x {height}; each side needs at least "
            f"{MIN_SIDE}. Crop it to a less extreme shape or use a larger size."
        )
    return width, height


def resize_longest_side(image: Image.Image, longest: int) -> Image.Image:
    """Resize to `longest` pixels on the longest side (Lanczos). Raises ImageTooSmall like `fit_size`."""
    size = fit_size(image.size, longest)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def decode_jpeg(jpeg: bytes) -> Image.Image:
    """Decode an output of `encode_jpeg` as RGB, which may be smaller than MIN_SIDE."""
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        return image.convert("RGB")


def to_array(image: Image.Image) -> NDArray[np.float32]:
    """Return the pixels as (height, width, 3) float32 in [0, 1]."""
    return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)


def _unidentified(data: bytes) -> EaselError:
    if not data:
        return NotAnImage("The file is empty.")
    if data.startswith(FILE_SIGNATURES) or (data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS):
        return _broken(data, "The file starts like an image but cannot be decoded")
    return NotAnImage("The file is not an image in an accepted format; send JPEG, PNG, WebP, GIF, TIFF, HEIC or AVIF.")


def _broken(data: bytes, what: str) -> BrokenImage:
    if data.startswith(_TIFF_SIGNATURES):
        return BrokenImage(
            "The TIFF is truncated or corrupt, or of a kind that is not supported, by its channels or its compression. "
            "Save it as a PNG."
        )
    return BrokenImage(f"{what}; save it again and send the whole file.")


def _check_single(image: Image.Image) -> None:
    if image.format == "HEIF":  # of several images, one is the photo: libheif's "primary image"
        return
    try:
        image.seek(1)
    except EOFError:
        return
    raise AnimatedImage("The image has more than one frame or page; save one of them as JPEG or PNG.")


def _check_scans(image: Image.Image, copy: bytes, max_pixels: int) -> None:
    """Raise ImageTooSlow for a JPEG whose scans would occupy a process until its time limit: each has all pixels."""
    scans = count_scans(copy) if image.format in {"JPEG", "MPO"} else 0
    if scans * image.width * image.height > _MAX_FULL_SCANS * max_pixels:
        raise ImageTooSlow(f"The JPEG has {scans} scans, which take too long. Save it as one that is not progressive.")


def _exif_transpose(image: Image.Image) -> Image.Transpose | None:
    """Return the transposition that turns the image upright. Unreadable Exif is ignored, and that of a WebP."""
    if image.format == "WEBP":  # as in Chromium
        return None
    try:
        return _EXIF_TRANSPOSES.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - on broken tags, Pillow raises anything
        return None


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Convert to one of the modes L, LA, RGB, RGBA and CMYK."""
    if image.mode.startswith("I;16"):
        return _sixteen_to_eight(image)
    if image.mode in _UNSUPPORTED_MODES:
        raise unsupported(_UNSUPPORTED_MODES[image.mode])
    if image.has_transparency_data:
        return image.convert("LA" if image.mode in {"1", "L", "LA", "La"} else "RGBA")
    if image.mode in {"1", "L"}:
        return image.convert("L")
    return image if image.mode == "CMYK" else image.convert("RGB")


def _sixteen_to_eight(image: Image.Image) -> Image.Image:
    levels = np.asarray(image).astype(np.uint32)
    if is_white_zero(image):
        levels = 0xFFFF - levels
    gray = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        gray.putalpha(Image.fromarray(np.where(levels == transparent, 0, 255).astype(np.uint8)))
    return gray


def _flatten(image: Image.Image, background: str | None) -> Image.Image:
    if image.mode != "RGBA" or image.getchannel("A").getextrema()[0] == _OPAQUE:
        return image.convert("RGB")
    if background is None:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image).convert("RGB")
