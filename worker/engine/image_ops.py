"""Conversion, resizing and padding of images."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared.imaging.images import MIN_SIDE


def as_tensor(image: NDArray[Any]) -> tf.Tensor:
    """Convert (height, width, 3), or 4 with a mask, unsigned integers or floats in [0, 1], to float32 in [0, 1]."""
    scale = np.float32(np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1.0)
    return tf.constant(np.divide(image, scale, dtype=np.float32))


def with_mask(style: tf.Tensor) -> tf.Tensor:
    """Return a style with its mask as the fourth channel; without one, all of it counts."""
    return style if style.shape[-1] == 4 else tf.concat([style, tf.ones_like(style[..., :1])], axis=-1)  # noqa: PLR2004


def resize_longest_side(image: tf.Tensor, longest_side: int) -> tf.Tensor:
    """Resize to this longest side in pixels, or to more if the shorter side would be below MIN_SIDE."""
    height, width = image.shape[:2]
    scale = max(longest_side / max(height, width), MIN_SIDE / min(height, width))
    return resize(image, (round(height * scale), round(width * scale)))


def resize(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Resize to (height, width), bicubic and antialiased, in [0, 1]. Return the image itself if it has that size."""
    if tuple(image.shape[:2]) == size:
        return image
    return tf.clip_by_value(tf.image.resize(image, size, method="bicubic", antialias=True), 0.0, 1.0)


def reflect_pad(image: tf.Tensor, padding: int) -> tf.Tensor:
    """Pad each edge by `padding` pixels of the mirrored image."""
    return tf.pad(image, [[padding, padding], [padding, padding], [0, 0]], mode="REFLECT")


def crop_padding(image: tf.Tensor, padding: int) -> tf.Tensor:
    """Undo `reflect_pad`."""
    height, width = image.shape[:2]
    return image[padding : height - padding, padding : width - padding]
