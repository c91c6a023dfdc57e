"""Images between sizes, and the margin beyond their edges."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.image_ops import bled, fit, resize, trimmed


def test_an_image_that_fits_already_is_not_touched() -> None:
    image = tf.random.stateless_uniform([40, 64, 3], seed=(1, 2))
    assert fit(image, 64) is image


@pytest.mark.parametrize(
    ("shape", "longest", "expected"),
    [
        ((300, 400), 128, (96, 128)),
        ((50, 40), 100, (100, 80)),
        ((64, 2048), 256, (32, 1024)),
    ],
)
def test_images_keep_their_shape_and_are_never_too_thin_for_the_network(
    shape: tuple[int, int], longest: int, expected: tuple[int, int]
) -> None:
    assert tuple(fit(tf.zeros([*shape, 3]), longest).shape) == (*expected, 3)


def test_resizing_does_not_leave_the_range() -> None:
    edges = tf.constant(np.random.default_rng(2).integers(0, 2, (20, 20, 3)), tf.float32)
    larger = resize(edges, (47, 47))
    assert 0 <= float(tf.reduce_min(larger)) <= float(tf.reduce_max(larger)) <= 1


@settings(max_examples=10)
@given(height=st.integers(9, 20), width=st.integers(9, 20), margin=st.integers(0, 8))
def test_a_bleed_mirrors_the_edges_and_is_trimmed_off_again(height: int, width: int, margin: int) -> None:
    image = tf.constant(np.random.default_rng(0).random((height, width, 3), np.float32))
    larger = bled(image, margin)
    assert larger.shape == (height + 2 * margin, width + 2 * margin, 3)
    np.testing.assert_array_equal(larger[0, margin : -margin or None], image[margin])
    np.testing.assert_array_equal(trimmed(larger, margin), image)
