"""What a GPU can change. Without one these tests are skipped, on CI, too: it is no part that can be installed."""

import pytest
import tensorflow as tf


@pytest.fixture(scope="session", autouse=True)
def gpu() -> str:
    """The device's name for `tf.device`."""
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow finds no GPU here")
    return "GPU:0"
