"""Serialization of the optimization's state, with a checksum, so that a broken checkpoint is never used.

Format: a line "easel-checkpoint 7 <sha256 of the rest>", a line of JSON that lists each array's name, type and shape,
and the bytes of the arrays in order. NumPy's .npz would hash them once more and copy them three times.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MAGIC: Final = b"easel-checkpoint 7 "

CheckpointState = dict[str, Any]
"""Names to arrays or scalars, as returned by worker.engine.Iterate.state."""


class BrokenCheckpointError(ValueError):
    """The checkpoint is truncated, corrupt, or of another version."""


def dump(state: Mapping[str, Any]) -> list[bytes | memoryview]:
    """Return the checkpoint in parts, to be written in order; scalars become arrays without dimensions.

    The parts are views of the arrays, which must not change before they are written. Joining them would copy them to
    new pages, which costs more than writing them.
    """
    arrays = {name: np.ascontiguousarray(value).reshape(np.shape(value)) for name, value in state.items()}
    index = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    head, body = json.dumps(index).encode() + b"\n", [_bytes(array) for array in arrays.values()]
    digest = hashlib.sha256(head)
    for part in body:
        digest.update(part)
    return [_MAGIC, digest.hexdigest().encode(), b"\n", head, *body]


def load(data: bytes) -> CheckpointState:
    """Return the state from the joined parts of `dump`. Raises BrokenCheckpointError."""
    head = data[: len(_MAGIC) + 65].partition(b"\n")[0]
    start = len(head) + 1
    if head != _MAGIC + hashlib.sha256(memoryview(data)[start:]).hexdigest().encode():
        raise BrokenCheckpointError("The checkpoint is truncated, corrupt or of another version.")
    return {name: array if array.ndim else array.item() for name, array in _arrays(data, start)}


def _bytes(array: NDArray[Any]) -> memoryview:
    """Return a view of the array's bytes, not a copy."""
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # an array is a buffer


def _arrays(data: bytes, start: int) -> Iterator[tuple[str, NDArray[Any]]]:
    end = data.index(b"\n", start)
    at = end + 1
    for name, kind, shape in json.loads(data[start:end]):
        array = np.frombuffer(data, kind, math.prod(shape), at).reshape(shape).copy()  # the copy is aligned
        yield name, array
        at += array.nbytes
