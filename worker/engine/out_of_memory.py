"""Recognizes out-of-memory errors, which TensorFlow reports under several names."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import tensorflow as tf

from shared.errors import OutOfMemory

_MESSAGE: Final = re.compile(r"out[ _]of[ _]memory|\bOOM\b|_ALLOC_FAILED", re.IGNORECASE)
"""GPU drivers and libraries report it in errors of other types, such as CUDA_ERROR_OUT_OF_MEMORY."""


@contextmanager
def translate_out_of_memory(size: int) -> Iterator[None]:
    """Raise OutOfMemory for every out-of-memory error in the block; `size` is the image's longest side in pixels."""
    try:
        yield
    except (MemoryError, tf.errors.OpError) as error:
        if not _is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"An image of {size} pixels needs more memory than this worker has; use a smaller `size`."
        ) from error


def _is_out_of_memory(error: MemoryError | tf.errors.OpError) -> bool:
    return isinstance(error, MemoryError | tf.errors.ResourceExhaustedError) or bool(_MESSAGE.search(str(error)))
