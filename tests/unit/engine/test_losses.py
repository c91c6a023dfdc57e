"""The terms of the objective, compared with their definitions."""

import numpy as np
import pytest
import tensorflow as tf

from worker.engine.losses import ContentLoss, StyleLoss, TotalVariationLoss

RANDOM = np.random.default_rng(7)


def _random(*shape: int) -> tf.Tensor:
    return tf.constant(RANDOM.random(shape, np.float32))


def test_absolute_variation_equals_tensorflows() -> None:
    image = _random(7, 5, 3)
    assert float(TotalVariationLoss(relative=False)(image)) == float(tf.image.total_variation(image))


def test_relative_variation_does_not_depend_on_the_size_of_a_periodic_image() -> None:
    image = np.tile(RANDOM.random((8, 8, 3), np.float32), (16, 16, 1))
    loss = TotalVariationLoss(relative=True)
    assert float(loss(tf.constant(image))) == pytest.approx(float(loss(tf.constant(image[:64]))), rel=0.05)


def test_chroma_scales_differences_in_colour_but_not_in_brightness() -> None:
    steps = tf.reshape(tf.constant([0.0, 1.0, 0.0, 1.0]), [1, 4, 1])
    gray, color = tf.tile(steps, [2, 1, 3]), tf.tile(steps * [1.0, -1.0, 0.0], [2, 1, 1])
    once, five = (TotalVariationLoss(relative=True, chroma=chroma) for chroma in (1, 5))
    assert float(five(gray)) == pytest.approx(float(once(gray)))
    assert float(five(color)) == pytest.approx(5 * float(once(color)))


def test_a_flat_image_has_no_variation() -> None:
    flat = tf.fill([6, 4, 3], 0.3)
    assert [float(TotalVariationLoss(relative)(flat)) for relative in (True, False)] == [0, 0]


def test_an_absolute_term_is_the_weighted_mean_squared_error() -> None:
    value, target = _random(4, 4), _random(4, 4)
    loss = StyleLoss({"block1_conv1": target}, {"block1_conv1": 0.5}, relative=False)
    expected = 0.5 * np.mean((value.numpy() - target.numpy()) ** 2)
    assert float(loss({"block1_conv1": value})) == pytest.approx(expected, rel=1e-5)


def test_a_relative_term_does_not_change_with_the_scale_of_the_features() -> None:
    value, target = _random(4, 6, 8), _random(4, 6, 8)
    weights = {"block4_conv2": 1.0}
    once = ContentLoss({"block4_conv2": target}, weights, relative=True)({"block4_conv2": value})
    scaled = ContentLoss({"block4_conv2": 100 * target}, weights, relative=True)({"block4_conv2": 100 * value})
    assert float(scaled) == pytest.approx(float(once), rel=1e-4)


def test_a_layer_whose_target_is_zero_gives_a_finite_loss() -> None:
    zeros = tf.zeros([4, 4])
    loss = StyleLoss({"block5_conv1": zeros}, {"block5_conv1": 1.0}, relative=True)
    assert float(loss({"block5_conv1": zeros})) == 0


def test_the_loss_without_layers_is_zero() -> None:
    assert float(ContentLoss({}, {}, relative=True)({})) == 0
