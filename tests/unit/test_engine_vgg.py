"""Our VGG19 against Keras' own, forward and back, and its fast convolutions and passes against TensorFlow's."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.recipe import Recipe
from worker.engine import convolution
from worker.engine.convolution import Layer
from worker.engine.kept import Step
from worker.engine.passes import Passes, Pooling
from worker.engine.style_content import StyleContentModel
from worker.engine.vgg import Layers, Vgg19, preprocess

SEEN = ["block1_conv2", "block3_conv4", "block5_conv1"]
WAYS = [pytest.param(True, id="fast"), pytest.param(False, id="plain")]


@pytest.fixture(scope="module")
def layers(random_weights: Path) -> Layers:
    return Layers(random_weights)


@pytest.fixture(scope="module")
def theirs(random_weights: Path) -> keras.Model:
    model = keras.applications.VGG19(include_top=False, weights=str(random_weights))
    return keras.Model(model.input, [model.get_layer(layer).output for layer in SEEN])


@pytest.fixture(scope="module")
def image() -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).random((37, 50, 3), np.float32))


def ours(layers: Layers, *, fast: bool, pooling: Pooling = "max", wanted: Sequence[str] = SEEN) -> Vgg19:
    return Vgg19(layers.upto(wanted), Passes(pooling, compiled=fast), fast=fast)


def close(one: tf.Tensor, other: tf.Tensor, tolerance: float = 1e-5) -> bool:
    return bool(tf.norm(one - other) <= tolerance * tf.norm(other))


@pytest.mark.parametrize("fast", WAYS)
def test_the_features_are_those_of_keras_own_vgg19(
    layers: Layers, theirs: keras.Model, image: tf.Tensor, *, fast: bool
) -> None:
    expected = theirs(preprocess(image)[tf.newaxis])
    found = ours(layers, fast=fast).forward(image).features
    assert all(close(found[layer], other) for layer, other in zip(SEEN, expected, strict=True))


@pytest.mark.parametrize("fast", WAYS)
def test_the_way_back_is_the_gradient_of_keras_own_vgg19(
    layers: Layers, theirs: keras.Model, image: tf.Tensor, *, fast: bool
) -> None:
    with tf.GradientTape() as tape:
        tape.watch(image)
        outputs = theirs(preprocess(image)[tf.newaxis])
    random = np.random.default_rng(2)
    slopes = {layer: tf.constant(random.random(of.shape, np.float32)) for layer, of in zip(SEEN, outputs, strict=True)}
    expected = tape.gradient(outputs, image, list(slopes.values()))
    network = ours(layers, fast=fast)
    found = network.back(network.forward(image), {layer: lambda slope=slope: slope for layer, slope in slopes.items()})
    assert close(found, expected, 1e-4)


def test_preprocessing_is_that_of_keras(image: tf.Tensor) -> None:
    expected = keras.applications.vgg19.preprocess_input(image.numpy() * 255)
    np.testing.assert_allclose(preprocess(image), expected, atol=1e-3)


def test_the_network_stops_at_the_deepest_layer_asked_for(layers: Layers, image: tf.Tensor) -> None:
    seen = ours(layers, fast=False, wanted=["block2_conv1", "block1_conv1"]).forward(image).features
    assert list(seen) == ["block1_conv1", "block1_conv2", "block2_conv1"]


def test_average_pooling_differs_and_keeps_the_sizes(layers: Layers, image: tf.Tensor) -> None:
    wanted = ["block2_conv1"]
    by_max, by_mean = (
        ours(layers, fast=False, pooling=kind, wanted=wanted).forward(image).features for kind in ("max", "average")
    )
    assert by_max["block2_conv1"].shape == by_mean["block2_conv1"].shape == (1, 18, 25, 128)
    assert not np.allclose(by_max["block2_conv1"], by_mean["block2_conv1"])


@pytest.mark.parametrize(("entering", "leaving"), [(3, 64), (64, 128), (128, 160)])
@settings(max_examples=10)
@given(height=st.integers(1, 21), width=st.integers(1, 21), seed=st.integers(0, 99))
def test_a_fast_convolution_is_tensorflows_at_any_height_and_width(
    entering: int, leaving: int, height: int, width: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    kernel, bias = (random.standard_normal(shape, np.float32) for shape in ((3, 3, entering, leaving), leaving))
    layer = Layer(kernel, bias)
    fast, direct = layer.fast(Passes("max", compiled=False)), layer.direct()
    features, slope = (
        tf.constant(random.standard_normal((1, height, width, channels), np.float32))
        for channels in (entering, leaving)
    )
    assert type(fast) is not type(direct)
    assert close(fast.forward(features), direct.forward(features))
    assert close(fast.back(slope), direct.back(slope))


def test_a_large_plane_of_few_channels_is_convolved_directly_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_MOST_PLACES", 30)
    random = np.random.default_rng(3)
    layer = Layer(random.standard_normal((3, 3, 128, 256), np.float32), np.zeros(256, np.float32))
    fast, direct = layer.fast(Passes("max", compiled=False)), layer.direct()
    for places, same in ((5 * 6, False), (5 * 7, True)):
        features = tf.constant(random.standard_normal((1, 5, places // 5, 128), np.float32))
        slope = tf.constant(random.standard_normal((1, 5, places // 5, 256), np.float32))
        assert np.array_equal(fast.forward(features), direct.forward(features)) is same
        assert np.array_equal(fast.back(slope), direct.back(slope)) is same


@settings(max_examples=12)
@given(sides=st.tuples(st.integers(2, 7), st.integers(2, 7)), levels=st.integers(1, 4), seed=st.integers(0, 99))
@pytest.mark.parametrize(("kind", "theirs"), [("max", tf.nn.max_pool2d), ("average", tf.nn.avg_pool2d)])
def test_pooling_and_its_gradient_before_the_relu_are_tensorflows(
    kind: Pooling, theirs: Callable[..., tf.Tensor], sides: tuple[int, int], levels: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    before = tf.constant(random.integers(-1, levels, (1, *sides, 3)), tf.float32)  # full of ties
    slope = tf.constant(random.random((1, sides[0] // 2, sides[1] // 2, 3), np.float32))
    passes = Passes(kind)
    with tf.GradientTape() as tape:
        tape.watch(before)
        features = tf.nn.relu(before)
        pooled = theirs(features, 2, 2, "VALID")
    halved, let_through = passes.halved(features)
    np.testing.assert_array_equal(halved, pooled)
    np.testing.assert_array_equal(passes.pooled(features), pooled)
    np.testing.assert_array_equal(passes.unhalved(let_through, slope, *sides), tape.gradient(pooled, before, slope))


def test_a_models_two_ways_see_the_same(layers: Layers, image: tf.Tensor) -> None:
    recipe = Recipe()
    tuned, plain = StyleContentModel.tuned(recipe, layers), StyleContentModel.plain(recipe, layers)
    one, other = tuned.look(image)[0], plain.glance(image)
    assert all(close(one.grams[layer], other.grams[layer]) for layer in recipe.style_layers)
    assert all(close(one.maps[layer], other.maps[layer]) for layer in recipe.content_layers)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_a_step_compiled_as_a_whole_finds_the_same(layers: Layers, image: tf.Tensor, pooling: Pooling) -> None:
    recipe = Recipe(pooling=pooling)
    grams = StyleContentModel.plain(recipe, layers).glance(tf.reverse(image, axis=[0])).grams
    steps = [Step(recipe, layers, tuple(image.shape), whole=whole).towards(grams, image) for whole in (True, False)]
    (whole, slope), (parts, other) = (step(tf.reverse(image, axis=[1])) for step in steps)
    np.testing.assert_allclose(whole, parts, rtol=1e-5)
    assert close(slope, other, 1e-4)  # of two values nearly as great the other one may lead back
