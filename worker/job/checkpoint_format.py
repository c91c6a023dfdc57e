"""The optimisation's state as bytes, and back. Readers learn of a broken checkpoint before they use it.

Format: a line "easel-checkpoint 5 <sha256 of the rest>", a line of JSON that lists each array's name, type and shape,
and the arrays' own bytes, one after the other. NumPy's .npz would hash them once more and copy them three times.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MAGIC: Final = b"easel-checkpoint 5 "

State = dict[str, Any]
"""Names to arrays or scalars, as worker.engine.Iterate.state gives it."""


class BrokenCheckpointError(ValueError):
    """Truncated, corrupt, or of another version."""


def dump(state: Mapping[str, Any]) -> list[bytes | memoryview]:
    """The checkpoint in parts, to be written one after the other; scalars become arrays without dimensions.

    They are views of the arrays, which must stay as they are until then: joined, they would be copied to new pages,
    and these cost more than the writing.
    """
    arrays = {name: np.ascontiguousarray(value).reshape(np.shape(value)) for name, value in state.items()}
    listed = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    head, body = json.dumps(listed).encode() + b"\n", [_bytes(array) for array in arrays.values()]
    digest = hashlib.sha256(head)
    for part in body:
        digest.update(part)
    return [_MAGIC, digest.hexdigest().encode(), b"\n", head, *body]


def load(data: bytes) -> State:
    """The state that `dump` was given, from its parts joined. Raises BrokenCheckpointError."""
    head = data[: len(_MAGIC) + 65].partition(b"\n")[0]
    start = len(head) + 1
    if head != _MAGIC + hashlib.sha256(memoryview(data)[start:]).hexdigest().encode():
        raise BrokenCheckpointError("The checkpoint is truncated, corrupt or of another version.")
    return {name: array if array.ndim else array.item() for name, array in _arrays(data, start)}


def _bytes(array: NDArray[Any]) -> memoryview:
    """Its own, not a copy."""
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # an array is a buffer


def _arrays(data: bytes, start: int) -> Iterator[tuple[str, NDArray[Any]]]:
    end = data.index(b"\n", start)
    at = end + 1
    for name, kind, shape in json.loads(data[start:end]):
        found = np.frombuffer(data, kind, math.prod(shape), at).reshape(shape).copy()  # aligned again
        yield name, found
        at += found.nbytes
