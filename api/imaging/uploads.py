"""The images of a form, decoded."""

from collections.abc import Callable, Sequence
from typing import Any

from flask import g
from werkzeug.datastructures import FileStorage

from shared.errors import InvalidMask
from shared.inputs.decoder import Decoder
from shared.inputs.decoding import InputImage, decode_input, decode_mask, decode_style, positioned
from shared.recipe import Recipe


def read_input(
    decoder: Decoder,
    read: Callable[[], bytes],
    recipe: Recipe,
    *,
    shape_of: tuple[int, int] | None = None,
    **position: Any,
) -> InputImage:
    """Return an image as it will be stored. `read` returns the file, and is called once few others are in memory.

    Raises like `decode_input` and `Decoder`, with the image's `position` in the form.
    """
    with positioned(**position), decoder.slot(g.caller.name) as decode:
        return decode(decode_input, read(), recipe, decoder.max_pixels, shape_of=shape_of)


def read_style(
    decoder: Decoder, upload: FileStorage, mask: FileStorage | None, recipe: Recipe, *, number: int
) -> InputImage:
    """Return a style image as it will be stored. Raises like `decode_style` and `Decoder`, with the position."""
    with positioned(field="style", number=number), decoder.slot(g.caller.name) as decode:
        return decode(decode_style, upload.read(), mask.read() if mask else None, recipe, decoder.max_pixels)


def read_masks(
    decoder: Decoder, uploads: Sequence[FileStorage], size: tuple[int, int], styles: int
) -> list[InputImage]:
    """Return one gray mask for each style, at the photo's `size` (width, height); none without uploads.

    One upload for several styles has a flat color for each of them. Raises InvalidMask, and like `decode_mask` and
    `Decoder`, with the upload's position in the form.
    """
    if len(uploads) not in {0, 1, styles}:
        detail = (
            f"There are {len(uploads)} masks for {styles} style image{'s' * (styles > 1)}. Send one for each, or one "
            "image with flat colors."
        )
        raise InvalidMask(detail, field="content_mask")
    masks: list[InputImage] = []
    for number, upload in enumerate(uploads):
        with positioned(field="content_mask", number=number), decoder.slot(g.caller.name) as decode:
            masks += decode(decode_mask, upload.read(), size, styles // len(uploads), decoder.max_pixels)
    return masks
