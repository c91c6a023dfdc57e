"""Memory that does not suffice, by whichever name TensorFlow reports it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import tensorflow as tf

from shared.errors import OutOfMemory

_SHORTAGE: Final = re.compile(r"out[ _]of[ _]memory|\bOOM\b|_ALLOC_FAILED", re.IGNORECASE)
"""Drivers and libraries of a GPU say it so, within errors of another kind: CUDA_ERROR_OUT_OF_MEMORY is one."""


@contextmanager
def shortage_named(size: int) -> Iterator[None]:
    """Turns every shortage of memory within into OutOfMemory, for a picture whose longest side is `size` pixels."""
    try:
        yield
    except (MemoryError, tf.errors.OpError) as error:
        if not _is_shortage(error):
            raise
        raise OutOfMemory(
            f"A picture of {size} pixels takes more memory than this worker has; a smaller `size` fits."
        ) from error


def _is_shortage(error: MemoryError | tf.errors.OpError) -> bool:
    return isinstance(error, MemoryError | tf.errors.ResourceExhaustedError) or bool(_SHORTAGE.search(str(error)))
