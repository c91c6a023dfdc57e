"""Uploads as they are stored. These functions run in the processes of shared/inputs/decoder_pool.py."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from shared.errors import BadInput, ImageFetchFailed, ImageNotFound, InvalidMask, InvalidShape
from shared.imaging import deep_color, encoding, images
from shared.imaging.deep_color import DecodedImage
from shared.imaging.transparency import used_share
from shared.recipe import Recipe
from shared.recipe_inputs import check_photo_shape

_SHAPE_TOLERANCE: Final = 0.02
_MAX_COLORS: Final = 64
_MIN_USED_SHARE: Final = 0.01
_BRIGHTNESS: Final = (299, 587, 114)  # of red, green and blue, in thousandths (ITU-R BT.601)


@dataclass(frozen=True)
class InputImage:
    """An input as it is stored, and what its roles depend on."""

    sha256: str
    png: bytes | None  # None if it is stored already
    width: int  # as uploaded: what is stored has at most MAX_SIDE pixels per side
    height: int
    bit_depth: int = 8
    used_share: float = 1  # the mean alpha


def decode_image(data: bytes, max_pixels: int) -> InputImage:
    """Return an image as it will be stored, with its alpha. Raises like `images.decode`."""
    return _stored(deep_color.decode(data, max_pixels=max_pixels, background=None))


def decode_style(data: bytes, mask: bytes, max_pixels: int) -> InputImage:
    """Return a style image as it will be stored: transparent where it or its mask says that it is not used.

    Raises InvalidShape, and like `images.decode`, with the field in the form if it is the mask's.
    """
    image = deep_color.decode(data, max_pixels=max_pixels, background=None)
    with positioned(field="style_mask"):
        pixels = _with_alpha(image.pixels, _decode_mask(mask, max_pixels).convert("L"))
    return _stored(DecodedImage(pixels, image.color_space))


def decode_mask(data: bytes, size: tuple[int, int], styles: int, max_pixels: int) -> list[InputImage]:
    """Return gray masks, scaled to the photo's `size` (width, height): one, or one for each of several styles.

    For those, the image has a flat color for each style, from dark to bright. Transparent parts count as black. Raises
    InvalidMask, InvalidShape, and the errors of `images.decode`.
    """
    mask = _decode_mask(data, max_pixels)
    _check_same_shape(mask.size, size, what="mask")
    scale = min(1, images.MAX_SIDE / max(size))
    target = round(size[0] * scale), round(size[1] * scale)
    parts = _split_by_color(mask, styles) if styles > 1 else [mask]
    return [_stored(DecodedImage(np.asarray(_scaled_mask(part.convert("L"), target)), "srgb")) for part in parts]


def decode_to_jpeg(data: bytes, max_pixels: int, longest: int) -> bytes:
    """Return the image as a JPEG of at most `longest` pixels a side. Raises like `shared.imaging.images.decode`."""
    return encoding.encode_jpeg(images.decode(data, max_pixels=max_pixels), longest=longest)


def check_input(image: InputImage, recipe: Recipe, shape_of: tuple[int, int] | None = None) -> None:
    """Raise InvalidShape for an image without the shape of `shape_of`; ImageTooSmall for a photo, if that is None."""
    size = image.width, image.height
    if shape_of:
        _check_same_shape(size, shape_of)
    else:
        check_photo_shape(size, recipe)


def check_used_share(share: float) -> None:
    """Raise InvalidMask if too little of a style is used: deep layers would see nothing of it."""
    if share < _MIN_USED_SHARE:
        raise InvalidMask(
            f"Less than {_MIN_USED_SHARE:.0%} of the style image is used: the rest is transparent, or black in its "
            "mask. Use more of it."
        )


def check_flat_colors(mask: InputImage) -> None:
    """Raise InvalidMask for a mask with flat colors that was scaled to be stored: its edges are soft then."""
    if max(mask.width, mask.height) > images.MAX_SIDE:
        raise InvalidMask(
            f"The mask has {mask.width} x {mask.height} pixels. With images from URLs, one with a flat color for each "
            f"style may have at most {images.MAX_SIDE} per side. Scale it down without soft edges (nearest neighbor)."
        )


@contextmanager
def positioned(**position: Any) -> Iterator[None]:
    """Add the position in the form to an error about an image."""
    try:
        yield
    except (BadInput, ImageNotFound, ImageFetchFailed) as error:
        error.extra = {**position, **error.extra}  # the innermost position is the most exact
        raise


def _decode_mask(data: bytes, max_pixels: int) -> Image.Image:
    return images.decode(data, max_pixels=max_pixels, background="black")


def _check_same_shape(
    size: tuple[int, int], expected: tuple[int, int], *, what: str = "image", of: str = "photo"
) -> None:
    if abs(size[0] * expected[1] / (size[1] * expected[0]) - 1) > _SHAPE_TOLERANCE:
        found, other = (f"{width} x {height}" for width, height in (size, expected))
        raise InvalidShape(f"The {what} has {found} pixels and the {of} {other}. Give it the same shape.")


def _with_alpha(pixels: deep_color.Pixels, mask: Image.Image) -> deep_color.Pixels:
    """Return a style image whose alpha is multiplied by a mask; without alpha if all of it is used."""
    size, opaque = (pixels.shape[1], pixels.shape[0]), np.iinfo(pixels.dtype).max
    _check_same_shape(mask.size, size, what="mask", of="style image")
    used = np.asarray(mask.resize(size, Resampling.BILINEAR)) * np.float32(opaque / 255)
    if pixels.shape[2] > 3:  # noqa: PLR2004 - RGBA
        used *= pixels[..., 3] * np.float32(1 / opaque)
    alpha = np.rint(used).astype(pixels.dtype)
    return np.dstack([pixels[..., :3], alpha]) if alpha.min() < opaque else pixels[..., :3]


def _scaled_mask(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    scaled = mask.resize(size, Resampling.BILINEAR)
    if not scaled.getbbox():
        raise InvalidMask("The mask is black everywhere at the photo's size. Paint white where its style applies.")
    return scaled.convert("RGB")


def _split_by_color(image: Image.Image, styles: int) -> Iterator[Image.Image]:
    """Yield a mask for each color of an image with one flat color for each style, from dark to bright."""
    colors = image.getcolors(maxcolors=_MAX_COLORS) or ()
    if len(colors) != styles:
        found = f"{len(colors)} color{'s' * (len(colors) != 1)}" if colors else f"more than {_MAX_COLORS} colors"
        raise InvalidMask(
            f"The mask has {found} for {styles} styles. Paint each region in one flat color, without soft edges, and "
            "save it as an 8-bit PNG (a JPEG adds colors), or send one gray mask for each style."
        )
    pixels = np.asarray(image)
    ordered = sorted((np.ravel(color) for _, color in colors), key=lambda color: (color @ _BRIGHTNESS, *color))
    for color in ordered:
        yield Image.fromarray((pixels == color).all(axis=-1))


def _stored(image: DecodedImage) -> InputImage:
    png, pixels = deep_color.encode_canonical_png(*image), image.pixels
    return InputImage(
        hashlib.sha256(png).hexdigest(),
        png,
        pixels.shape[1],
        pixels.shape[0],
        bit_depth=8 * pixels.itemsize,
        used_share=used_share(pixels),
    )
