"""The optimisation's state as bytes, and back. Readers learn of a broken checkpoint before they use it.

Format: a line "easel-checkpoint 2 <sha256 of the rest>", then NumPy's .npz, uncompressed.
"""

import hashlib
import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

_MAGIC: Final = b"easel-checkpoint 2 "

State = dict[str, Any]
"""Names to arrays or scalars, as worker.engine.Iterate.state gives it."""


class BrokenCheckpointError(ValueError):
    """Truncated, corrupt, or of another version."""


def dump(state: Mapping[str, Any]) -> bytes:
    """Serialise; scalars become arrays without dimensions."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: np.asarray(value) for name, value in state.items()})
    body = buffer.getvalue()
    return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def load(data: bytes) -> State:
    """The state that `dump` was given. Raises BrokenCheckpointError."""
    head, _, body = data.partition(b"\n")
    if head != _MAGIC + hashlib.sha256(body).hexdigest().encode():
        raise BrokenCheckpointError("The checkpoint is truncated, corrupt or of another version.")
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        return {name: array if array.ndim else array.item() for name, array in arrays.items()}
