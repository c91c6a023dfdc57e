"""Tests of what a GPU can change. Without a GPU they are skipped, on CI too: a GPU cannot be installed there."""

import pytest
import tensorflow as tf


@pytest.fixture(scope="session", autouse=True)
def gpu() -> str:
    """The device's name for `tf.device`."""
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow finds no GPU here")
    return "GPU:0"
