"""The reference model, compared with independent computations."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.recipe import Recipe
from worker.engine.model import GramMatrix, Pooling, StyleContentModel, feature_extractor, preprocess
from worker.engine.objective import Objective

LAYERS = ["block1_conv2", "block3_conv4", "block5_conv1"]


@pytest.fixture(scope="module")
def image() -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).random((37, 50, 3), np.float32))


def test_a_gram_matrix_is_the_mean_outer_product_over_positions() -> None:
    features = np.random.default_rng(7).random((2, 3, 5, 4), np.float32)
    expected = np.einsum("bijc,bijd->bcd", features, features) / 15
    np.testing.assert_allclose(GramMatrix()(tf.constant(features)), expected, rtol=1e-5)


def test_preprocessing_equals_keras(image: tf.Tensor) -> None:
    expected = keras.applications.vgg19.preprocess_input(image.numpy() * 255)
    np.testing.assert_allclose(preprocess(image), expected, atol=1e-3)


def test_the_features_equal_those_of_keras_own_model(
    random_weights: Path, vgg19: keras.Model, image: tf.Tensor
) -> None:
    whole = keras.applications.VGG19(include_top=False, weights=str(random_weights))
    keras_extractor = keras.Model(whole.input, [whole.get_layer(layer).output for layer in LAYERS])
    features = feature_extractor(vgg19, LAYERS)(preprocess(image)[tf.newaxis])
    for layer, expected in zip(LAYERS, keras_extractor(preprocess(image)[tf.newaxis]), strict=True):
        np.testing.assert_array_equal(features[layer], expected)


def test_the_extractor_ends_at_the_deepest_of_its_layers(vgg19: keras.Model) -> None:
    extractor = feature_extractor(vgg19, ["block2_conv1", "block1_conv1"])
    names = [layer.name for layer in extractor.layers[1:]]
    assert names == ["block1_conv1", "block1_conv2", "block1_pool", "block2_conv1"]
    assert list(extractor.output) == ["block1_conv1", "block2_conv1"]


def test_the_error_for_an_unknown_layer_names_it(vgg19: keras.Model) -> None:
    with pytest.raises(ValueError, match="no layer block6_conv1"):
        feature_extractor(vgg19, ["block1_conv1", "block6_conv1"])


def test_extractors_share_the_weights_of_one_vgg19(vgg19: keras.Model) -> None:
    one, other = (feature_extractor(vgg19, LAYERS, pooling) for pooling in ("max", "average"))
    assert one.get_layer("block3_conv1") is other.get_layer("block3_conv1")


def test_average_pooling_replaces_maxima_by_means(vgg19: keras.Model, image: tf.Tensor) -> None:
    before = feature_extractor(vgg19, ["block1_conv2"])(preprocess(image)[tf.newaxis])["block1_conv2"]
    for pooling, pool in (("max", tf.nn.max_pool2d), ("average", tf.nn.avg_pool2d)):
        features = feature_extractor(vgg19, ["block2_conv1"], pooling)(preprocess(image)[tf.newaxis])["block2_conv1"]
        expected = vgg19.get_layer("block2_conv1")(pool(before, 2, 2, "VALID"))
        np.testing.assert_array_equal(features, expected)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_the_gradient_equals_the_derivative_along_itself(
    vgg19: keras.Model, image: tf.Tensor, pooling: Pooling
) -> None:
    recipe = Recipe(pooling=pooling)
    model = StyleContentModel(vgg19, recipe.style_layers, recipe.content_layers, pooling)
    objective = Objective(recipe, model(tf.reverse(image, axis=[0])[tf.newaxis]))
    losses, gradient = model.losses_and_gradient(image, objective)
    length = 1e-3 * float(tf.norm(image) / tf.norm(gradient))
    above, below = (
        float(model.losses_and_gradient(image + sign * length * gradient, objective)[0][0]) for sign in (1, -1)
    )
    derivative = (above - below) / (2 * length)
    assert derivative == pytest.approx(float(tf.norm(gradient)) ** 2, rel=0.02)
    assert float(losses[4]) == pytest.approx(float(tf.norm(gradient)))
    assert float(losses[0]) == pytest.approx(float(tf.reduce_sum(losses[1:4])), rel=1e-6)


def test_the_model_has_no_trainable_variables(vgg19: keras.Model) -> None:
    assert StyleContentModel(vgg19, LAYERS, LAYERS).trainable_variables == []
