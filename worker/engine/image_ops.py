"""Images in and between the stages' sizes, and the margin beyond their edges."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared.images import MIN_SIDE


def as_tensor(image: NDArray[Any]) -> tf.Tensor:
    """(height, width, 3), uint8 or float in [0, 1], as float32 in [0, 1]."""
    scale = np.float32(255.0 if image.dtype == np.uint8 else 1.0)
    return tf.constant(np.divide(image, scale, dtype=np.float32))


def fit(image: tf.Tensor, longest: int) -> tf.Tensor:
    """The image with its longer side at `longest` pixels, or more where the shorter would fall under MIN_SIDE."""
    height, width = image.shape[:2]
    scale = max(longest / max(height, width), MIN_SIDE / min(height, width))
    return resize(image, (round(height * scale), round(width * scale)))


def resize(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """The image at (height, width), bicubic and antialiased, in [0, 1]; itself where it has that size already."""
    if tuple(image.shape[:2]) == size:
        return image
    return tf.clip_by_value(tf.image.resize(image, size, method="bicubic", antialias=True), 0.0, 1.0)


def bled(image: tf.Tensor, margin: int) -> tf.Tensor:
    """The image continued by `margin` pixels beyond each edge, as in a mirror."""
    return tf.pad(image, [[margin, margin], [margin, margin], [0, 0]], mode="REFLECT")


def trimmed(image: tf.Tensor, margin: int) -> tf.Tensor:
    """What is left of `bled(image, margin)` when the margin is cut off."""
    height, width = image.shape[:2]
    return image[margin : height - margin, margin : width - margin]
