"""Our VGG19 against Keras' own, and pooling against TensorFlow's."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.recipe import VGG19_LAYERS
from worker.engine.resize import bled, fit, resize, trimmed
from worker.engine.vgg import max_pool, preprocess, vgg19


@pytest.fixture(scope="module")
def weights(random_weights: Path) -> Path:
    return random_weights


@pytest.fixture(scope="module")
def image() -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).random((1, 37, 50, 3), np.float32))


def test_the_features_are_those_of_keras_own_vgg19(weights: Path, image: tf.Tensor) -> None:
    theirs = keras.applications.VGG19(include_top=False, weights=str(weights))
    wanted = ["block1_conv2", "block3_conv4", "block5_conv1"]
    reference = keras.Model(theirs.input, [theirs.get_layer(layer).output for layer in wanted])(preprocess(image))
    ours = vgg19(wanted, weights)(preprocess(image))
    for layer, expected in zip(wanted, reference, strict=True):
        np.testing.assert_allclose(ours[layer], expected, rtol=1e-3, atol=1e-2, err_msg=layer)


def test_preprocessing_is_that_of_keras(image: tf.Tensor) -> None:
    expected = keras.applications.vgg19.preprocess_input(image.numpy() * 255)
    np.testing.assert_allclose(preprocess(image), expected, atol=1e-3)


def test_the_network_stops_at_the_deepest_layer_asked_for(weights: Path) -> None:
    names = {layer.name for layer in vgg19(["block2_conv1", "block1_conv1"], weights).layers}
    assert names & set(VGG19_LAYERS) == {"block1_conv1", "block1_conv2", "block2_conv1"}


def test_average_pooling_differs_and_keeps_the_sizes(weights: Path, image: tf.Tensor) -> None:
    by_max, by_mean = (vgg19(["block2_conv1"], weights, pooling=kind)(image) for kind in ("max", "average"))
    assert by_max["block2_conv1"].shape == by_mean["block2_conv1"].shape == (1, 18, 25, 128)
    assert not np.allclose(by_max["block2_conv1"], by_mean["block2_conv1"])


@settings(max_examples=12, deadline=None)
@given(height=st.integers(2, 7), width=st.integers(2, 7), levels=st.integers(1, 4), seed=st.integers(0, 99))
def test_the_gradient_of_max_pooling_is_tensorflows_bit_for_bit(
    height: int, width: int, levels: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    features = tf.constant(random.integers(0, levels, (1, height, width, 3)), tf.float32)  # full of ties
    upstream = tf.constant(random.random((1, height // 2, width // 2, 3), np.float32))

    @tf.function(autograph=False)
    def gradients() -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(features)
            ours = tf.reduce_sum(max_pool(features) * upstream)
            theirs = tf.reduce_sum(tf.nn.max_pool2d(features, 2, 2, "VALID") * upstream)
        return tape.gradient(ours, features), tape.gradient(theirs, features)

    ours, theirs = gradients()
    np.testing.assert_array_equal(ours, theirs)


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


@settings(max_examples=10, deadline=None)
@given(height=st.integers(9, 20), width=st.integers(9, 20), margin=st.integers(0, 8))
def test_a_bleed_mirrors_the_edges_and_is_trimmed_off_again(height: int, width: int, margin: int) -> None:
    image = tf.constant(np.random.default_rng(0).random((height, width, 3), np.float32))
    larger = bled(image, margin)
    assert larger.shape == (height + 2 * margin, width + 2 * margin, 3)
    np.testing.assert_array_equal(larger[0, margin : -margin or None], image[margin])
    np.testing.assert_array_equal(trimmed(larger, margin), image)
