"""Checkpoints: what goes in comes out, and a damaged one is recognised."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from worker.job.checkpoint_format import BrokenCheckpointError, dump, load


def written(state: dict[str, Any]) -> bytes:
    return b"".join(dump(state))


PICTURES = arrays(np.float32, array_shapes(min_dims=1, max_side=5), elements=st.floats(-1, 1, width=32))


@given(
    picture=PICTURES, step=st.integers(0, 2**31), note=st.text(st.characters(codec="ascii", exclude_characters="\0"))
)
def test_a_checkpoint_gives_back_what_was_put_in(picture: np.ndarray, step: int, note: str) -> None:
    state = load(written({"picture": picture, "step": step, "note": note, "flag": True}))
    assert np.array_equal(state["picture"], picture)
    assert state["picture"].dtype == np.float32
    assert (state["step"], state["note"], state["flag"]) == (step, note, True)


def test_a_picture_is_not_copied_to_be_written() -> None:
    picture = np.zeros((4, 5, 3), np.float32)
    body = dump({"picture": picture})[-1]
    assert np.shares_memory(np.frombuffer(body, np.float32), picture)


@given(at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_one_changed_byte_anywhere_is_noticed(at: float, flip: int) -> None:
    data = bytearray(written({"picture": np.arange(6, dtype=np.float32)}))
    data[int(at * len(data))] ^= flip
    with pytest.raises(BrokenCheckpointError):
        load(bytes(data))


def test_a_checkpoint_of_an_earlier_version_is_refused() -> None:
    data = written({"step": 1})
    assert data.startswith(b"easel-checkpoint 5 ")
    with pytest.raises(BrokenCheckpointError, match="another version"):
        load(data.replace(b"easel-checkpoint 5 ", b"easel-checkpoint 4 ", 1))


@given(length=st.floats(0, 1, exclude_max=True))
def test_a_truncated_checkpoint_is_noticed(length: float) -> None:
    data = written({"picture": np.arange(6, dtype=np.float32)})
    with pytest.raises(BrokenCheckpointError):
        load(data[: int(length * len(data))])
