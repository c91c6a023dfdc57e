"""Tests of behavior that depends on a GPU. Without one they are skipped, even on CI."""

import pytest
import tensorflow as tf


@pytest.fixture(scope="session", autouse=True)
def gpu() -> str:
    """Return the device's name for `tf.device`."""
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow finds no GPU")
    return "GPU:0"
