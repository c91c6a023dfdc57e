"""The fast path computes the same as the Keras model for any layers, pooling and size, and so do its parts."""

from collections.abc import Callable
from typing import Any, get_args

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.recipe import VGG19_LAYERS, Recipe
from worker.engine.cache import Evaluation, Network
from worker.engine.match_loss import SAMPLES, sample_activations
from worker.engine.model import GramMatrix, Pooling, StyleContentModel
from worker.engine.objective import Objective, style_targets
from worker.engine.vgg19 import convolution
from worker.engine.vgg19.convolution import Kernel, KernelCache
from worker.engine.vgg19.fast_path import FastPath, gram_gradient
from worker.engine.vgg19.fused_ops import FusedOps

Evaluated = tuple[tf.Tensor, tf.Tensor]
"""Losses with the gradient's norm, and the gradient."""


@pytest.fixture(scope="module")
def kernels() -> KernelCache:
    return KernelCache()


def is_close(actual: tf.Tensor, expected: tf.Tensor, tolerance: float = 1e-5) -> bool:
    return bool(tf.norm(actual - expected) <= tolerance * tf.norm(expected))


def differences(actual: Evaluated, expected: Evaluated) -> tuple[float, float, float]:
    """Return the relative differences: the largest of the four losses, the gradient norm's, and the gradient's."""
    (losses, gradient), (expected_losses, expected_gradient) = actual, expected
    relative = np.abs(losses - expected_losses) / np.maximum(np.abs(expected_losses), 1e-30)
    return relative[:4].max(), relative[4], float(tf.norm(gradient - expected_gradient) / tf.norm(expected_gradient))


def random_recipe(random: np.random.Generator, pooling: Pooling) -> Recipe:
    """Return a recipe with zero to five layers for style and for content, down to a random depth."""
    layers, counts = VGG19_LAYERS[: random.integers(1, 17)], random.integers(0, 6, 2)
    counts[0] += not counts.any()
    style, content = (
        {str(layer): random.uniform(0.1, 2) for layer in random.choice(layers, min(count, len(layers)), replace=False)}
        for count in counts
    )
    return Recipe(style_layers=style, content_layers=content, pooling=pooling, normalize=bool(random.integers(2)))


def evaluate(
    vgg19: keras.Model, kernels: KernelCache, pooling: Pooling, seed: int, **options: Any
) -> tuple[Evaluated, Evaluated]:
    """Return the fast path's and the model's evaluation of a random image for a random recipe with these options."""
    random = np.random.default_rng(seed)
    recipe, sides = random_recipe(random, pooling).model_copy(update=options), random.integers(32, 62, 2)
    image, other = (tf.constant(random.random((*sides, 3), np.float32)) for _ in range(2))
    match_layers = recipe.match_layers if recipe.match_weight else ()
    model = StyleContentModel(vgg19, recipe.style_layers, recipe.content_layers, pooling, match_layers=match_layers)
    features = model(other[tf.newaxis])
    match = {
        layer: sample_activations(activations, None, SAMPLES)[tf.newaxis]
        for layer, activations in features["match"].items()
    }
    targets = {**features, "style": style_targets(features["style"], recipe), "match": match}
    objective = Objective(recipe, targets)
    fast = FastPath(model, kernels, compiled=False)
    return fast.losses_and_gradient(image, objective), model.losses_and_gradient(image, objective)


def test_losses_and_gradient_equal_the_models_for_any_layers_pooling_and_size(
    vgg19: keras.Model, kernels: KernelCache
) -> None:
    """In a few cases rounding selects another maximum of a pooled cell, or another side of a ReLU near 0.

    Then a part of the gradient takes another path; the deeper and smaller the layer, the larger the part. The model's
    gradient differs from one in float64 for the same reason, as often. The shares leave room for other processors.
    """
    evaluations = [evaluate(vgg19, kernels, pooling, seed) for pooling in get_args(Pooling) for seed in range(20)]
    losses, norms, gradients = np.transpose([differences(*pair) for pair in evaluations])
    assert np.mean(losses <= 1e-5) >= 0.95
    assert losses.max() <= 2e-5
    assert np.mean(norms <= 1e-4) >= 0.9
    assert norms.max() <= 0.01
    assert np.mean(gradients <= 1e-4) >= 0.8
    assert gradients.max() <= 0.1


def test_wasserstein_losses_equal_the_models(vgg19: keras.Model, kernels: KernelCache) -> None:
    """They differ more than squared differences do: the root of an eigenvalue near 0 enlarges its rounding error."""
    options = {"style_loss": "wasserstein", "normalize": True}
    evaluations = [evaluate(vgg19, kernels, "max", seed, **options) for seed in range(6)]
    losses, norms, gradients = np.transpose([differences(*pair) for pair in evaluations])
    assert losses.max() <= 5e-3
    assert norms.max() <= 1e-4
    assert gradients.max() <= 1e-3


def test_match_losses_equal_the_models(vgg19: keras.Model, kernels: KernelCache) -> None:
    layers = {"block1_conv1": 1.0, "block4_conv1": 1.0, "block5_conv1": 0.5}
    evaluations = [evaluate(vgg19, kernels, "max", seed, style_layers=layers, match_weight=5.0) for seed in range(6)]
    losses, norms, gradients = np.transpose([differences(*pair) for pair in evaluations])
    assert losses.max() <= 2e-5
    assert norms.max() <= 1e-3
    assert gradients.max() <= 1e-2


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_the_compiled_fast_path_equals_the_model(vgg19: keras.Model, kernels: KernelCache, pooling: Pooling) -> None:
    """With every kind of layer: direct and Winograd convolutions, pooled or not, with a loss or without one."""
    style_layers = {"block1_conv1": 1.0, "block2_conv1": 1.0}
    recipe = Recipe(pooling=pooling, style_layers=style_layers, content_layers={"block3_conv2": 1.0})
    random = np.random.default_rng(4)
    image, content, style = (tf.constant(random.random((37, 50, 3), np.float32)) for _ in range(3))
    network = Network(vgg19, kernels, recipe)
    targets = {"style": network.gram_matrices(style), "content": network.activations(content)}
    fast, reference = (
        Evaluation(network, recipe, content, targets, path).with_targets(targets)(image)
        for path in ("fast", "reference")
    )
    losses, norm, gradient = differences(fast, reference)
    assert losses <= 1e-5
    assert norm <= 1e-4
    assert gradient <= 1e-4


def test_the_gradient_of_a_gram_matrix_equals_that_of_automatic_differentiation() -> None:
    random = np.random.default_rng(7)
    features, gradient = (tf.constant(random.random(shape, np.float32)) for shape in ((1, 3, 5, 4), (1, 4, 4)))
    with tf.GradientTape() as tape:
        tape.watch(features)
        weighted = tf.reduce_sum(GramMatrix()(features) * gradient)
    np.testing.assert_allclose(gram_gradient(features, gradient), tape.gradient(weighted, features), rtol=1e-5)


@pytest.mark.parametrize(("in_channels", "out_channels"), [(3, 64), (64, 128), (128, 160)])
@settings(max_examples=10)
@given(height=st.integers(1, 21), width=st.integers(1, 21), seed=st.integers(0, 99))
def test_a_fast_convolution_equals_tensorflows_at_any_height_and_width(
    in_channels: int, out_channels: int, height: int, width: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    kernel = _kernel(random, in_channels, out_channels)
    fast, direct = kernel.fast(FusedOps("max", compiled=False)), kernel.direct()
    x, gradient = (
        tf.constant(random.standard_normal((1, height, width, channels), np.float32))
        for channels in (in_channels, out_channels)
    )
    assert type(fast) is not type(direct)
    assert is_close(fast.forward(x), direct.forward(x))
    assert is_close(fast.backward(gradient), direct.backward(gradient))


def test_a_large_plane_with_few_channels_is_convolved_directly_in_both_directions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(convolution, "_MAX_POSITIONS", 30)
    random = np.random.default_rng(3)
    kernel = _kernel(random, 128, 256)
    fast, direct = kernel.fast(FusedOps("max", compiled=False)), kernel.direct()
    for positions, is_direct in ((5 * 6, False), (5 * 7, True)):
        x = tf.constant(random.standard_normal((1, 5, positions // 5, 128), np.float32))
        gradient = tf.constant(random.standard_normal((1, 5, positions // 5, 256), np.float32))
        assert np.array_equal(fast.forward(x), direct.forward(x)) is is_direct
        assert np.array_equal(fast.backward(gradient), direct.backward(gradient)) is is_direct


@settings(max_examples=20)
@given(sides=st.tuples(st.integers(2, 7), st.integers(2, 7)), levels=st.integers(1, 4), seed=st.integers(0, 99))
@pytest.mark.parametrize(("pooling", "tensorflow_pool"), [("max", tf.nn.max_pool2d), ("average", tf.nn.avg_pool2d)])
def test_pooling_and_its_gradient_before_the_relu_equal_tensorflows(
    pooling: Pooling, tensorflow_pool: Callable[..., tf.Tensor], sides: tuple[int, int], levels: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    before = tf.constant(random.integers(-1, levels, (1, *sides, 3)), tf.float32)  # with many ties
    gradient = tf.constant(random.random((1, sides[0] // 2, sides[1] // 2, 3), np.float32))
    fused = FusedOps(pooling, compiled=False)
    with tf.GradientTape() as tape:
        tape.watch(before)
        activations = tf.nn.relu(before)
        expected = tensorflow_pool(activations, 2, 2, "VALID")
    pooled, mask = fused.pool(activations)
    np.testing.assert_array_equal(pooled, expected)
    np.testing.assert_array_equal(fused.unpool(mask, gradient, *sides), tape.gradient(expected, before, gradient))


def _kernel(random: np.random.Generator, in_channels: int, out_channels: int) -> Kernel:
    shapes = (3, 3, in_channels, out_channels), (out_channels,)
    return Kernel(*(tf.constant(random.standard_normal(shape, np.float32)) for shape in shapes))
