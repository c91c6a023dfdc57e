"""The terms of the objective, compared with their definitions."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from worker.engine.losses import (
    ContentLoss,
    StyleLoss,
    TotalVariationLoss,
    gram_distance,
    gram_root,
    wasserstein_distance,
)

RANDOM = np.random.default_rng(7)


def _random(*shape: int) -> tf.Tensor:
    return tf.constant(RANDOM.random(shape, np.float32))


_HIDDEN = 2 * 1e-6**0.5
"""Most that an eigenvalue is missed by, relative to the trace."""


def _gram_matrix(channels: int) -> NDArray[np.float64]:
    features = RANDOM.random((2 * channels, channels))
    return features.T @ features


def _square_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


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
    value, target = _random(1, 4, 4), _random(1, 4, 4)
    loss = StyleLoss(partial(gram_distance, relative=False), {"block1_conv1": target}, {"block1_conv1": 0.5})
    expected = 0.5 * np.mean((value.numpy() - target.numpy()) ** 2)
    assert float(loss({"block1_conv1": value})) == pytest.approx(expected, rel=1e-5)


def test_the_style_loss_is_the_mean_of_its_regions_by_their_shares() -> None:
    values, targets, weights = _random(2, 4, 4), _random(2, 4, 4), {"block1_conv1": 0.5}
    distance = partial(gram_distance, relative=True)
    loss = StyleLoss(distance, {"block1_conv1": targets}, weights, tf.constant([0.3, 0.7]))({"block1_conv1": values})
    first, second = (float(distance(values[region], targets[region])) for region in range(2))
    assert float(loss) == pytest.approx(0.5 * (0.3 * first + 0.7 * second), rel=1e-5)


def test_a_relative_term_does_not_change_with_the_scale_of_the_features() -> None:
    value, target = _random(4, 6, 8), _random(4, 6, 8)
    weights = {"block4_conv2": 1.0}
    once = ContentLoss({"block4_conv2": target}, weights, relative=True)({"block4_conv2": value})
    scaled = ContentLoss({"block4_conv2": 100 * target}, weights, relative=True)({"block4_conv2": 100 * value})
    assert float(scaled) == pytest.approx(float(once), rel=1e-4)


def test_a_layer_whose_target_is_zero_gives_a_finite_loss() -> None:
    zeros = tf.zeros([4, 4])
    assert float(gram_distance(zeros, zeros, relative=True)) == 0
    assert float(wasserstein_distance(zeros, gram_root(zeros))) == pytest.approx(0, abs=1e-6)


def test_the_wasserstein_distance_is_that_of_gaussians() -> None:
    gram_matrix, target = _gram_matrix(6), _gram_matrix(6)
    root = _square_root(target)
    cross = _square_root(root @ gram_matrix @ root)
    expected = (np.trace(gram_matrix) + np.trace(target) - 2 * np.trace(cross)) / np.trace(target)
    distance = wasserstein_distance(tf.constant(gram_matrix), gram_root(tf.constant(target)))
    assert float(distance) == pytest.approx(expected, abs=6 * _HIDDEN)


@pytest.mark.parametrize("channels", [6, 200])
def test_the_wasserstein_distance_of_equal_gram_matrices_is_what_the_smallest_eigenvalues_leave(channels: int) -> None:
    gram_matrix = _gram_matrix(channels)
    smallest = np.linalg.eigvalsh(gram_matrix)[:-128].sum() / np.trace(gram_matrix)
    distance = wasserstein_distance(tf.constant(gram_matrix), gram_root(tf.constant(gram_matrix)))
    assert 0 <= float(distance) <= 1.1 * smallest + min(channels, 128) * _HIDDEN


def test_the_gradient_of_the_wasserstein_distance_is_that_of_finite_differences() -> None:
    gram_matrix, root = tf.constant(_gram_matrix(6)), gram_root(tf.constant(_gram_matrix(6)))
    direction = tf.constant(_gram_matrix(6) - _gram_matrix(6))
    with tf.GradientTape() as tape:
        tape.watch(gram_matrix)
        distance = wasserstein_distance(gram_matrix, root)
    derivative = float(tf.reduce_sum(tape.gradient(distance, gram_matrix) * direction))
    ahead, behind = (wasserstein_distance(gram_matrix + step * direction, root) for step in (1e-5, -1e-5))
    assert derivative == pytest.approx(float(ahead - behind) / 2e-5, rel=1e-4)


def test_the_gradient_of_the_wasserstein_distance_is_finite_where_eigenvalues_are_equal_or_zero() -> None:
    for gram_matrix in (tf.eye(4), tf.zeros([4, 4])):
        with tf.GradientTape() as tape:
            tape.watch(gram_matrix)
            distance = wasserstein_distance(gram_matrix, gram_root(tf.eye(4)))
        assert np.isfinite(tape.gradient(distance, gram_matrix)).all()


def test_the_loss_without_layers_is_zero() -> None:
    assert float(ContentLoss({}, {}, relative=True)({})) == 0
