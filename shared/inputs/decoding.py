"""Uploads as they are stored. These functions run in the processes of shared/inputs/decoder.py."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from shared.errors import BadInput, InvalidMask, InvalidShape
from shared.imaging import deep_color, images
from shared.recipe import Recipe

_SHAPE_TOLERANCE: Final = 0.02
_MAX_COLORS: Final = 64
_MIN_USED_SHARE: Final = 0.01
_BRIGHTNESS: Final = (299, 587, 114)  # of red, green and blue, in thousandths (ITU-R BT.601)


@dataclass(frozen=True)
class InputImage:
    """An input as it is stored."""

    sha256: str
    png: bytes
    width: int
    height: int


def decode_input(
    data: bytes, recipe: Recipe, max_pixels: int, *, shape_of: tuple[int, int] | None = None
) -> InputImage:
    """Return an image as it will be stored; one with the shape of `shape_of` (width, height), if that is given.

    It keeps its alpha. Raises a subclass of BadInput.
    """
    return _stored(_decode(data, recipe, max_pixels, shape_of=shape_of))


def decode_style(data: bytes, mask: bytes | None, recipe: Recipe, max_pixels: int) -> InputImage:
    """Return a style image as it will be stored: transparent where it or its mask says that it is not used.

    Raises InvalidMask, and other subclasses of BadInput, with the field in the form if it is the mask's.
    """
    pixels = _decode(data, recipe, max_pixels)
    with positioned(**({} if mask is None else {"field": "style_mask"})):
        if mask is not None:
            pixels = _with_alpha(pixels, _decode_mask(mask, max_pixels).convert("L"))
        _check_used_share(pixels)
    return _stored(pixels)


def decode_mask(data: bytes, size: tuple[int, int], styles: int, max_pixels: int) -> list[InputImage]:
    """Return gray masks, scaled to the photo's `size` (width, height): one, or one for each of several styles.

    For those, the image has a flat color for each style, from dark to bright. Transparent parts count as black. Raises
    InvalidMask, InvalidShape, and the errors of `images.decode`.
    """
    mask = _decode_mask(data, max_pixels)
    _check_shape(mask.size, size, what="mask")
    scale = min(1, images.MAX_SIDE / max(size))
    target = round(size[0] * scale), round(size[1] * scale)
    parts = _split_by_color(mask, styles) if styles > 1 else [mask]
    return [_stored(np.asarray(_scaled_mask(part.convert("L"), target))) for part in parts]


@contextmanager
def positioned(**position: Any) -> Iterator[None]:
    """Add the position in the form to a BadInput."""
    try:
        yield
    except BadInput as error:
        error.extra = {**position, **error.extra}  # the innermost position is the most exact
        raise


def _decode_mask(data: bytes, max_pixels: int) -> Image.Image:
    return images.decode(data, max_pixels=max_pixels, background="black")


def _decode(
    data: bytes, recipe: Recipe, max_pixels: int, *, shape_of: tuple[int, int] | None = None
) -> deep_color.Pixels:
    """Return the pixels of an image, with its alpha, that is large enough for the recipe."""
    pixels = deep_color.decode(data, max_pixels=max_pixels, background=None)
    size = pixels.shape[1], pixels.shape[0]
    _check_shape(size, shape_of or size)
    images.fit_size(size, min(longest for longest, _ in recipe.schedule()))
    return pixels


def _check_shape(size: tuple[int, int], expected: tuple[int, int], *, what: str = "image", of: str = "photo") -> None:
    if abs(size[0] * expected[1] / (size[1] * expected[0]) - 1) > _SHAPE_TOLERANCE:
        found, other = (f"{width} x {height}" for width, height in (size, expected))
        raise InvalidShape(f"The {what} has {found} pixels and the {of} {other}. Give it the same shape.")


def _with_alpha(pixels: deep_color.Pixels, mask: Image.Image) -> deep_color.Pixels:
    """Return a style image whose alpha is multiplied by a mask; without alpha if all of it is used."""
    size, opaque = (pixels.shape[1], pixels.shape[0]), np.iinfo(pixels.dtype).max
    _check_shape(mask.size, size, what="mask", of="style image")
    used = np.asarray(mask.resize(size, Resampling.BILINEAR)) * np.float32(opaque / 255)
    if pixels.shape[2] > 3:  # noqa: PLR2004 - RGBA
        used *= pixels[..., 3] * np.float32(1 / opaque)
    alpha = np.rint(used).astype(pixels.dtype)
    return np.dstack([pixels[..., :3], alpha]) if alpha.min() < opaque else pixels[..., :3]


def _check_used_share(style: deep_color.Pixels) -> None:
    """Raise InvalidMask if too little of a style is used: deep layers would see nothing of it."""
    if style.shape[2] > 3 and style[..., 3].mean() < _MIN_USED_SHARE * np.iinfo(style.dtype).max:  # noqa: PLR2004 - RGB
        raise InvalidMask(
            f"Less than {_MIN_USED_SHARE:.0%} of the style image is used: the rest is transparent, or black in its "
            "mask. Use more of it."
        )


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


def _stored(pixels: deep_color.Pixels) -> InputImage:
    png = deep_color.encode_canonical_png(pixels)
    return InputImage(hashlib.sha256(png).hexdigest(), png, pixels.shape[1], pixels.shape[0])
