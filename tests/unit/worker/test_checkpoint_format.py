"""Checkpoints: serialization round trips, and damage is detected."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from worker.job.checkpoint_format import BrokenCheckpointError, dump, load


def serialize(state: dict[str, Any]) -> bytes:
    return b"".join(dump(state))


IMAGES = arrays(np.float32, array_shapes(min_dims=1, max_side=5), elements=st.floats(-1, 1, width=32))


@given(image=IMAGES, step=st.integers(0, 2**31), note=st.text(st.characters(codec="ascii", exclude_characters="\0")))
def test_a_checkpoint_is_loaded_as_it_was_dumped(image: np.ndarray, step: int, note: str) -> None:
    state = load(serialize({"image": image, "step": step, "note": note, "flag": True}))
    assert np.array_equal(state["image"], image)
    assert state["image"].dtype == np.float32
    assert (state["step"], state["note"], state["flag"]) == (step, note, True)


def test_an_image_is_not_copied_when_dumped() -> None:
    image = np.zeros((4, 5, 3), np.float32)
    body = dump({"image": image})[-1]
    assert np.shares_memory(np.frombuffer(body, np.float32), image)


@given(at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_changed_byte_is_detected(at: float, flip: int) -> None:
    data = bytearray(serialize({"image": np.arange(6, dtype=np.float32)}))
    data[int(at * len(data))] ^= flip
    with pytest.raises(BrokenCheckpointError):
        load(bytes(data))


def test_a_checkpoint_of_another_version_is_refused() -> None:
    data = serialize({"step": 1})
    assert data.startswith(b"easel-checkpoint 7 ")
    with pytest.raises(BrokenCheckpointError, match="another version"):
        load(data.replace(b"easel-checkpoint 7 ", b"easel-checkpoint 6 ", 1))


@given(length=st.floats(0, 1, exclude_max=True))
def test_a_truncated_checkpoint_is_detected(length: float) -> None:
    data = serialize({"image": np.arange(6, dtype=np.float32)})
    with pytest.raises(BrokenCheckpointError):
        load(data[: int(length * len(data))])
