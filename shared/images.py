"""Images in and out: strangers' bytes become upright sRGB pixels without metadata, and pixels become files.

Everything here may be called from many threads at once. `Image.open` is called nowhere else in the project.
"""

import io
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, PngImagePlugin, UnidentifiedImageError

from shared.errors import AnimatedImage, BrokenImage, EaselError, ImageTooLarge, ImageTooSmall, NotAnImage

Picture = Image.Image | NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.float64]
"""An RGB image of Pillow, or an array (height, width, 3): uint8, or floats in [0, 1]."""

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "TIFF")
"""What `decode` accepts. The list is short because every decoder is a door."""

SIGNATURES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF8", b"II*\x00", b"MM\x00*")
"""How files of FORMATS begin: bytes that begin so and cannot be opened are broken, others are no image."""

MIN_SIDE: Final = 32
"""Pixels. VGG19 halves an image four times before block 5, which then still sees 2 x 2."""

LONGEST: Final = 4096
"""Pixels: the largest size that a recipe may ask for, so the most that is worth keeping of an input."""

_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each Orientation of Exif 2.32 (tag 0x0112)."""

# Pillow would warn or raise at a limit of its own that is one number for the whole process; `_check_size` is
# handed its limit and asks the header, before a pixel is decoded. Set once, here, so that no thread sees it change.
Image.MAX_IMAGE_PIXELS = None


def decode(data: bytes, *, max_pixels: int) -> Image.Image:
    """The picture that a viewer would show: mode RGB, sRGB, upright, alpha on white, no metadata left.

    16 bits a channel become 8; CMYK and wide-gamut colours go through the embedded ICC profile where there is one.

    Raises:
        NotAnImage: in no format of FORMATS, or with 32 bits a channel.
        BrokenImage: truncated or corrupt.
        AnimatedImage: more than one frame or page. A phone's JPEG with a second picture inside is no animation.
        ImageTooLarge: more than `max_pixels`, by the header.
        ImageTooSmall: a side under MIN_SIDE.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image.size, max_pixels)
            _check_single(image)
            image.load()
            return _upright_srgb(image)
    except EaselError:
        raise
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except Exception as error:  # decoders fail with whatever the broken bytes led them to: struct.error, KeyError ...
        raise BrokenImage("The image is truncated or corrupt; save it again and send the whole file.") from error


def fit(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(width, height) of a `size` scaled, up or down, so that its longest side is `longest` pixels.

    Raises ImageTooSmall when the short side would come out under MIN_SIDE.
    """
    scale = longest / max(size)
    width, height = (round(side * scale) for side in size)
    if min(width, height) < MIN_SIDE:
        raise ImageTooSmall(
            f"At {longest} pixels for the longest side the image becomes {width} x {height}, and no side may be "
            f"under {MIN_SIDE}; crop it to a less extreme shape or ask for a larger size."
        )
    return width, height


def resize(image: Image.Image, longest: int) -> Image.Image:
    """The image with its longest side at `longest` pixels (Lanczos). Raises ImageTooSmall as `fit` does."""
    size = fit(image.size, longest)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def canonical(image: Image.Image) -> bytes:
    """The PNG to keep of a decoded input, at most LONGEST pixels a side: the same pixels give the same bytes.

    Made for speed (12 megapixels: under a second): on photos, run lengths and Huffman codes alone come out
    smaller and faster than zlib's search for longer matches. Raises ImageTooSmall as `fit` does.
    """
    kept = resize(image, LONGEST) if max(image.size) > LONGEST else image
    return _png(kept, compress_level=1, compress_type=zlib.Z_RLE)


def encode_png(picture: Picture) -> bytes:
    """A PNG without metadata, tagged as sRGB; the same pixels give the same bytes."""
    return _png(to_image(picture), compress_level=6)


def encode_jpeg(picture: Picture, *, quality: int = 85, longest: int | None = None) -> bytes:
    """A progressive JPEG without metadata, shrunk to `longest` pixels where it is larger. Untagged means sRGB."""
    image, target = to_image(picture), io.BytesIO()
    if longest is not None and max(image.size) > longest:
        image = image.copy()
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    image.save(target, "JPEG", quality=quality, progressive=True, exif=b"", icc_profile=None, comment=None)
    return target.getvalue()


def reopened(jpeg: bytes) -> Image.Image:
    """What `encode_jpeg` made, as an RGB image; it may be narrower than what strangers may send."""
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        return image.convert("RGB")


def to_array(image: Image.Image) -> NDArray[np.float32]:
    """The pixels as (height, width, 3) float32 in [0, 1]."""
    return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)


def to_image(picture: Picture) -> Image.Image:
    """An RGB image; floats are clipped to [0, 1] and rounded to the nearest of 256 levels, NaN becomes black."""
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    pixels = picture
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(np.nan_to_num(pixels, nan=0.0), 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _unidentified(data: bytes) -> EaselError:
    if data.startswith(SIGNATURES):
        return BrokenImage("The file begins like an image but cannot be read; save it again and send the whole file.")
    hint = " HEIC and AVIF photos must be exported as JPEG first." if data[4:8] == b"ftyp" else ""
    return NotAnImage(f"The file is no image in an accepted format; send JPEG, PNG, WebP, GIF or TIFF.{hint}")


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels, and at most {max_pixels:,} are accepted; shrink it first."
        )
    if min(size) < MIN_SIDE:
        raise ImageTooSmall(f"The image has {width} x {height} pixels; each side must have at least {MIN_SIDE}.")


def _check_single(image: Image.Image) -> None:
    if image.format == "MPO":  # a camera's JPEG with a depth or gain map behind it: the photo comes first
        return
    try:
        image.seek(1)
    except EOFError:
        return
    raise AnimatedImage("The image has more than one frame or page; save the one you mean as a JPEG or PNG.")


def _upright_srgb(image: Image.Image) -> Image.Image:
    orient = _orientation(image)
    flat = _on_white(_to_srgb(_eight_bits(image), image.info.get("icc_profile")))
    upright = flat if orient is None else flat.transpose(orient)
    return Image.fromarray(np.asarray(upright))  # a new image: the pixels and nothing else


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """How to turn the image upright. Unreadable Exif is no reason to refuse a photo."""
    try:
        return _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - Pillow lets through whatever the broken tags lead it to
        return None


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image in one of the modes L, LA, RGB, RGBA and CMYK."""
    if image.mode.startswith("I;16"):
        return _sixteen_to_eight(image)
    if image.mode in {"I", "F", "LAB"}:
        raise NotAnImage("Images with 32 bits a channel or in Lab are not accepted; save it with 8 or 16 bits, RGB.")
    if image.has_transparency_data:
        return image.convert("LA" if image.mode in {"1", "L", "LA", "La"} else "RGBA")
    if image.mode in {"1", "L"}:
        return image.convert("L")
    return image if image.mode == "CMYK" else image.convert("RGB")


def _sixteen_to_eight(image: Image.Image) -> Image.Image:
    levels = np.asarray(image).astype(np.uint32)
    gray = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        gray.putalpha(Image.fromarray(np.where(levels == transparent, 0, 255).astype(np.uint8)))
    return gray


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The colours meant by the ICC profile. One that is broken or of another colour space is passed over."""
    colours, alpha = image, None
    if image.mode in {"LA", "RGBA"}:
        colours, alpha = image.convert(image.mode[:-1]), image.getchannel("A")
    if profile:
        colours = _through_profile(colours, profile)
    if alpha is not None:
        colours = colours.convert("RGB")
        colours.putalpha(alpha)
    return colours


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    try:
        meant = ImageCms.profileToProfile(image, io.BytesIO(profile), srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image
    return image if meant is None else meant


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _png(image: Image.Image, **options: Any) -> bytes:
    """Tagged as sRGB (PNG 3, 11.3.2.5), 13 bytes: wide-gamut screens otherwise guess what the numbers mean."""
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"sRGB", b"\x00")
    target = io.BytesIO()
    image.save(target, "PNG", pnginfo=chunks, icc_profile=None, exif=b"", **options)
    return target.getvalue()
