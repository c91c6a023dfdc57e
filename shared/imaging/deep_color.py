"""Images with 8 or 16 bits per channel. Pillow has no colors of 16 bits, so libvips reads and writes those.

Pixels are (height, width, 3), or 4 with alpha. All functions are thread-safe. A process must not fork after it has
called one of them: libvips has threads.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image

from shared.errors import BrokenImage
from shared.imaging import encoding, images
from shared.imaging.color_profiles import PROFILES, SRGB_PROFILE, color_space_of, gamut_of, has_wide_colors
from shared.recipe import BitDepth, ColorSpace

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


class DecodedImage(NamedTuple):
    """The pixels of an image, and the color space that they are in."""

    pixels: Pixels
    color_space: ColorSpace


_OPAQUE: Final = 0xFFFF
_MAX_PIXELS: Final = images.MAX_SIDE**2
_LOADERS: Final = {"PNG": pyvips.Image.pngload_buffer, "TIFF": pyvips.Image.tiffload_buffer}
_COLOR_SPACES: Final = ("rgb16", "grey16")
_PROFILE_FIELD: Final = "icc-profile-data"

pyvips.cache_set_max(0)  # images are used once; cached operations would keep them in memory


def decode(data: bytes, *, max_pixels: int, background: str | None = "white") -> DecodedImage:
    """Decode an untrusted file like `images.decode`; a PNG or TIFF with 16 bits per channel keeps them.

    16 bits that say no more than 8 become 8. An image with colors that sRGB does not have is converted to Display P3
    instead. Raises like `images.decode`.
    """
    with images.opened(data, max_pixels) as (image, copy):
        deep = _open_deep(copy, image)
        if deep is not None:
            image.load()  # raises if the file is cut off, which libvips does not notice in a TIFF
            decoded = _upright(deep, image.info.get("icc_profile"), background)
            if any((row % 257).any() for row in decoded.pixels):  # 65535 / 255; by rows, to save memory
                return decoded
        eight, color_space = images.decode_opened(image, background, wide=True)
        return DecodedImage(np.asarray(eight), color_space)


def encode_canonical_png(pixels: Pixels, color_space: ColorSpace = "srgb") -> bytes:
    """Encode a decoded input for storage, like `encoding.encode_canonical_png`."""
    if pixels.dtype == np.uint8:
        return encoding.encode_canonical_png(Image.fromarray(pixels), color_space)
    deep, size = pixels.astype(np.uint16, copy=False), (pixels.shape[1], pixels.shape[0])
    if max(size) > images.MAX_SIDE:
        deep = _resize(deep, images.fit_size(size, images.MAX_SIDE))
    if deep.shape[2] > 3:  # noqa: PLR2004 - RGBA
        deep = np.where(deep[..., 3:] > 0, deep, np.uint16(0))  # as `images` does: these colors are not visible
    return _encode(deep, color_space, compression=1)


def load_png(png: bytes) -> pyvips.Image:
    """Open a PNG of this project's own; it is decoded when it is used."""
    return pyvips.Image.pngload_buffer(png, fail_on="truncated", memory=True)


def profile_of(image: pyvips.Image) -> bytes:
    """Return the profile of a PNG of this project's own, which is that of sRGB if it has none."""
    has_profile = image.get_typeof(_PROFILE_FIELD) != 0
    return bytes(image.get(_PROFILE_FIELD)) if has_profile else SRGB_PROFILE


def decode_stored(png: bytes) -> DecodedImage:
    """Return the pixels of an output of `encode_canonical_png`, and their color space. Raises BrokenImage."""
    try:
        image = load_png(png)
        return DecodedImage(image.numpy(), color_space_of(profile_of(image)))
    except pyvips.Error as error:
        raise BrokenImage("The stored image is truncated or corrupt.") from error


def encode_png(image: NDArray[np.float32], bit_depth: BitDepth = 8, color_space: ColorSpace = "srgb") -> bytes:
    """Encode a result in [0, 1], like `encoding.encode_png`."""
    if bit_depth == 8:  # noqa: PLR2004 - bits
        return encoding.encode_png(image, color_space)
    levels = np.rint(np.clip(np.nan_to_num(image, nan=0.0), 0, 1) * np.float32(_OPAQUE))
    return _encode(levels.astype(np.uint16), color_space, compression=6)


def _open_deep(data: bytes, image: Image.Image) -> pyvips.Image | None:
    """Return the image with 16 bits per channel; None if it has fewer, or if Pillow alone can read it as checked.

    Also None above _MAX_PIXELS: 64 megapixels of 16 bits would take 1.3 GB while they are decoded.
    """
    load = _LOADERS.get(image.format or "")
    try:
        deep = load(data, fail_on="truncated", memory=True) if load else None
    except pyvips.Error:
        return None
    if deep is None or deep.interpretation not in _COLOR_SPACES or deep.format != "ushort":
        return None
    as_checked = {deep.width, deep.height} == set(image.size)  # Pillow may have turned it upright
    has_alpha = deep.hasalpha() and image.has_transparency_data  # a TIFF may have a fourth channel without a meaning
    fits = deep.width * deep.height <= _MAX_PIXELS
    return deep if as_checked and fits and has_alpha == deep.hasalpha() else None


def _upright(deep: pyvips.Image, profile: bytes | None, background: str | None) -> DecodedImage:
    image, color_space = _to_rgb(deep.autorot(), profile)
    pixels: NDArray[np.uint16] = image.numpy()
    if pixels.shape[2] > 3:  # noqa: PLR2004 - RGBA
        if pixels[..., 3].min() == _OPAQUE:
            pixels = np.ascontiguousarray(pixels[..., :3])
        elif background is not None:
            pixels = image.flatten(background=0 if background == "black" else _OPAQUE).numpy()
    return DecodedImage(pixels, color_space)


def _to_rgb(image: pyvips.Image, profile: bytes | None) -> tuple[pyvips.Image, ColorSpace]:
    """Convert by the ICC profile. A profile that is broken or of another color space is ignored."""
    if not profile or profile == SRGB_PROFILE:  # a conversion to the same would round
        return image.colourspace("rgb16"), "srgb"
    tagged = image.colourspace("rgb16") if profile[16:20] == b"RGB " else image.copy()
    tagged.set_type(pyvips.GValue.blob_type, _PROFILE_FIELD, profile)
    gamut = gamut_of(profile)
    try:
        if gamut != "srgb":
            in_p3 = tagged if gamut == "display-p3" else _transformed(tagged, "p3")
            if has_wide_colors(in_p3.numpy()):
                return in_p3, "display-p3"
        return _transformed(tagged, "srgb"), "srgb"
    except pyvips.Error:
        return image.colourspace("rgb16"), "srgb"


def _transformed(image: pyvips.Image, profile: str) -> pyvips.Image:
    """Convert by the image's own profile to one of libvips'."""
    return image.icc_transform(profile, embedded=True, depth=16, intent="perceptual")


def _resize(pixels: NDArray[np.uint16], size: tuple[int, int]) -> NDArray[np.uint16]:
    image = _from_array(pixels)
    has_alpha = image.hasalpha()
    image = image.premultiply() if has_alpha else image
    image = image.resize(size[0] / image.width, vscale=size[1] / image.height)
    image = image.unpremultiply() if has_alpha else image
    scaled: NDArray[np.uint16] = image.rint().cast("ushort").numpy()
    return scaled


def _from_array(pixels: NDArray[np.uint16]) -> pyvips.Image:
    return pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation="rgb16")


def _encode(pixels: NDArray[np.uint16], color_space: ColorSpace, **options: Any) -> bytes:
    image = _from_array(pixels).copy()
    image.set_type(pyvips.GValue.blob_type, _PROFILE_FIELD, PROFILES[color_space])
    png: bytes = image.pngsave_buffer(bitdepth=16, filter="sub", keep="icc", **options)
    return png
