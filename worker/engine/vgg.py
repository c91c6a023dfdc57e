"""VGG19 as a Keras functional model that stops at the deepest layer asked for.

Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015.
Layer names are those of `keras.applications.VGG19`.
"""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import keras
import tensorflow as tf

from shared.recipe import VGG19_LAYERS
from worker.engine.kernel_files import BGR_MEANS, load_kernels

Pooling = Literal["max", "average"]


def vgg19(outputs: Iterable[str], weights: Path, *, pooling: Pooling = "max") -> keras.Model:
    """A model from (batch, height, width, 3) float32, preprocessed, to `{layer: features}` for each of `outputs`.

    The features are those after the ReLU. Raises WeightsUnavailable if `weights` is no VGG19 without top.
    """
    wanted = set(outputs)
    deepest = max(VGG19_LAYERS.index(layer) for layer in wanted)
    image = features = keras.Input((None, None, 3), name="image")
    found = {}
    for block, layers in groupby(VGG19_LAYERS[: deepest + 1], key=lambda layer: layer.partition("_")[0]):
        if block != "block1":
            features = _Pool(pooling, name=f"{block}_halve")(features)
        for layer in layers:
            features = found[layer] = _convolve(features, layer)
    model = keras.Model(image, {layer: found[layer] for layer in VGG19_LAYERS if layer in wanted}, trainable=False)
    kernels = load_kernels(weights)
    for layer in found:
        model.get_layer(layer).set_weights(kernels[layer])
    return model


def preprocess(image: tf.Tensor) -> tf.Tensor:
    """RGB in [0, 1] to what VGG19 was trained on: BGR of 0..255 less ImageNet's mean."""
    return tf.reverse(image, axis=[-1]) * 255.0 - tf.constant(BGR_MEANS)


def _convolve(features: Any, layer: str) -> Any:
    filters = 64 * 2 ** min(int(layer[len("block")]) - 1, 3)
    return keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=layer)(features)


class _Pool(keras.layers.Layer):  # type: ignore[misc]  # keras is untyped
    """Halves each side over 2x2 cells; an odd last row or column is dropped, as VGG19 does."""

    def __init__(self, pooling: Pooling, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pool = max_pool if pooling == "max" else average_pool

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return self._pool(features)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape[0], shape[1] and shape[1] // 2, shape[2] and shape[2] // 2, shape[3]


def average_pool(features: tf.Tensor) -> tf.Tensor:
    """(batch, height, width, channels) to half of each side: the mean of each 2x2 cell."""
    return tf.nn.avg_pool2d(features, 2, 2, "VALID")


def max_pool(features: tf.Tensor) -> tf.Tensor:
    """(batch, height, width, channels) to half of each side: the greatest of each 2x2 cell.

    The gradient of TensorFlow's own kernel runs on one core and takes a tenth of a step. So within a graph this is
    written as comparisons and compiled, and gives the same bits. It is no `tf.custom_gradient`, because those stay
    registered for ever and hold on to the graph and the network in it.
    """
    if tf.executing_eagerly():
        return tf.nn.max_pool2d(features, 2, 2, "VALID")
    return tf.function(_greatest_of_cells, jit_compile=True, autograph=False)(features)


def _greatest_of_cells(features: tf.Tensor) -> tf.Tensor:
    """Where values are equal the gradient goes to the first, row by row, as in TensorFlow's kernel."""
    height, width = features.shape[1] // 2 * 2, features.shape[2] // 2 * 2
    above, below = (
        tf.maximum(features[:, row:height:2, 0:width:2], features[:, row:height:2, 1:width:2]) for row in (0, 1)
    )
    return tf.maximum(above, below)
