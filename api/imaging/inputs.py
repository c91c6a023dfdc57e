"""Uploads as they are stored."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image
from PIL.Image import Resampling
from werkzeug.datastructures import FileStorage

from api.http.limits import decode_slot
from shared import images
from shared.errors import BadInput, InvalidMask
from shared.recipe import Recipe

_SHAPE_TOLERANCE: Final = 0.02
_MAX_COLORS: Final = 64


@dataclass(frozen=True)
class InputImage:
    """An input as it is stored."""

    sha256: str
    png: bytes
    width: int
    height: int


def decode_input(
    upload: FileStorage, recipe: Recipe, max_pixels: int, *, size: tuple[int, int] | None = None, **position: Any
) -> InputImage:
    """Return an upload as it will be stored, scaled to `size` (width, height) if it is given.

    Raises a subclass of BadInput with the upload's `position` in the form.
    """
    try:
        with decode_slot():
            image = images.decode(upload.read(), max_pixels=max_pixels)
            image = image.resize(size, Resampling.LANCZOS) if size else image
            images.fit_size(image.size, min(longest for longest, _ in recipe.schedule()))
            png = images.encode_canonical_png(image)
    except BadInput as error:
        error.extra |= position
        raise
    return _stored(image, png)


def decode_masks(
    uploads: Sequence[FileStorage], size: tuple[int, int], styles: int, max_pixels: int
) -> list[InputImage]:
    """Return one gray mask for each style, scaled to the photo's `size` (width, height); none without uploads.

    One upload for several styles has a flat color for each of them, from dark to bright. Raises InvalidMask, and the
    errors of `images.decode`, with the upload's position in the form.
    """
    masks: list[Image.Image] = []
    for number, upload in enumerate(uploads):
        try:
            with decode_slot():
                mask = images.decode(upload.read(), max_pixels=max_pixels)
                _check_shape(mask.size, size)
                masks += _split_by_color(mask, styles) if len(uploads) == 1 < styles else [mask.convert("L")]
        except BadInput as error:
            error.extra |= {"field": "content_mask", "number": number}
            raise
    if masks and len(masks) != styles:
        raise InvalidMask(f"There are {len(masks)} masks for {styles} styles; send one for each.", field="content_mask")
    for number, mask in enumerate(masks):
        if not mask.getbbox():
            detail = f"Mask {number + 1} is black everywhere, so style {number + 1} would apply nowhere."
            raise InvalidMask(detail, field="content_mask", number=number)
    scaled = [mask.resize(size, Resampling.BILINEAR) for mask in masks]
    return [_stored(mask, images.encode_canonical_png(mask.convert("RGB"))) for mask in scaled]


def _check_shape(mask: tuple[int, int], photo: tuple[int, int]) -> None:
    if abs(mask[0] * photo[1] / (mask[1] * photo[0]) - 1) > _SHAPE_TOLERANCE:
        raise InvalidMask(
            f"The mask has {mask[0]} x {mask[1]} pixels and the photo {photo[0]} x {photo[1]}; give it the same shape."
        )


def _split_by_color(image: Image.Image, styles: int) -> list[Image.Image]:
    """Return a mask for each color of an image with one flat color for each style, from dark to bright."""
    colors = image.getcolors(maxcolors=_MAX_COLORS) or ()
    if len(colors) != styles:
        found = f"{len(colors)} colors" if colors else f"more than {_MAX_COLORS} colors"
        raise InvalidMask(
            f"The mask has {found} for {styles} styles. Paint each region in one flat color, without soft edges, "
            "or send one gray mask for each style."
        )
    pixels = np.asarray(image)
    ordered = np.array(sorted((np.ravel(color) for _, color in colors), key=lambda color: (color.sum(), *color)))
    return [Image.fromarray((pixels == color).all(axis=-1)).convert("L") for color in ordered]


def _stored(image: Image.Image, png: bytes) -> InputImage:
    return InputImage(hashlib.sha256(png).hexdigest(), png, *image.size)
