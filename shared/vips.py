"""libvips, which reads and writes what Pillow cannot: images with 16 bits per channel."""

import numpy as np
import pyvips
from numpy.typing import NDArray

from shared.errors import BrokenImage

pyvips.cache_set_max(0)  # images are used once; cached operations would keep them in memory


def load_png(png: bytes) -> pyvips.Image:
    """Open a PNG of this project's own; it is decoded when it is used."""
    return pyvips.Image.pngload_buffer(png, fail_on="truncated")


def decode_png(png: bytes) -> NDArray[np.uint8]:
    """Return the pixels of an output of `encode_canonical_png`: (height, width, 3), or 4 with alpha.

    Raises BrokenImage.
    """
    try:
        pixels: NDArray[np.uint8] = load_png(png).numpy()
    except pyvips.Error as error:
        raise BrokenImage("The stored image is truncated or corrupt.") from error
    return pixels
