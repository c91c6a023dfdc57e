"""Resizing and padding of images."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.image_ops import as_tensor, crop_padding, reflect_pad, resize, resize_longest_side


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_images_become_floats_between_0_and_1(dtype: type, full: float) -> None:
    image = np.array([[[0, full / 5, full]]], dtype)
    tensor = as_tensor(image)
    assert tensor.dtype == tf.float32
    np.testing.assert_allclose(tensor, [[[0, 0.2, 1]]], rtol=1e-7)


def test_an_image_of_the_right_size_is_returned_unchanged() -> None:
    image = tf.random.stateless_uniform([40, 64, 3], seed=(1, 2))
    assert resize_longest_side(image, 64) is image


@pytest.mark.parametrize(
    ("shape", "longest_side", "expected"),
    [
        ((300, 400), 128, (96, 128)),
        ((50, 40), 100, (100, 80)),
        ((64, 2048), 256, (32, 1024)),
    ],
)
def test_images_keep_their_aspect_ratio_and_are_never_too_thin_for_the_network(
    shape: tuple[int, int], longest_side: int, expected: tuple[int, int]
) -> None:
    assert tuple(resize_longest_side(tf.zeros([*shape, 3]), longest_side).shape) == (*expected, 3)


def test_resized_values_stay_in_range() -> None:
    edges = tf.constant(np.random.default_rng(2).integers(0, 2, (20, 20, 3)), tf.float32)
    larger = resize(edges, (47, 47))
    assert 0 <= float(tf.reduce_min(larger)) <= float(tf.reduce_max(larger)) <= 1


@settings(max_examples=10)
@given(height=st.integers(9, 20), width=st.integers(9, 20), padding=st.integers(0, 8))
def test_padding_mirrors_the_edges_and_can_be_cropped(height: int, width: int, padding: int) -> None:
    image = tf.constant(np.random.default_rng(0).random((height, width, 3), np.float32))
    padded = reflect_pad(image, padding)
    assert padded.shape == (height + 2 * padding, width + 2 * padding, 3)
    np.testing.assert_array_equal(padded[0, padding : -padding or None], image[padding])
    np.testing.assert_array_equal(crop_padding(padded, padding), image)
