"""VGG19 in Keras, and the features that the style transfer of Gatys, Ecker and Bethge (CVPR 2016) computes with it.

This is the reference that the fast path is tested against. It follows TensorFlow's tutorial "Neural style transfer";
docs/explanation/from-the-tutorial.md maps each cell of the tutorial to the corresponding code.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import keras
import tensorflow as tf

from worker.engine.regions import Guides, guided
from worker.engine.weights.hdf5 import BGR_MEANS, load_kernels

Pooling = Literal["max", "average"]
Features = dict[str, dict[str, tf.Tensor]]
"""`{"style": {layer: Gram matrix}, "content": {layer: activations}, "match": {layer: activations}}`."""
LossFunction = Callable[[tf.Tensor, Features], tf.Tensor]
"""Maps an image and its features to the weighted losses [total, style, content, total variation]."""


def load_vgg19(weights: Path) -> keras.Model:
    """Return Keras' VGG19 without its top, with the weights of an `.h5` file in Keras' layout.

    Raises WeightsUnavailable if the file is not such a VGG19.
    """
    vgg19 = keras.applications.VGG19(include_top=False, weights=None)
    for layer, kernel_and_bias in load_kernels(weights).items():
        vgg19.get_layer(layer).set_weights(kernel_and_bias)
    vgg19.trainable = False
    return vgg19


def feature_extractor(vgg19: keras.Model, layers: Iterable[str], pooling: Pooling = "max") -> keras.Model:
    """Return a functional model that maps preprocessed images to `{layer: activations after the ReLU}`.

    Images are (batch, height, width, 3). The model ends at the deepest of
    `layers` and shares its weights with `vgg19`. Raises ValueError for an unknown layer.
    """
    output_names, outputs = set(layers), dict[str, Any]()
    if unknown := output_names - {layer.name for layer in vgg19.layers}:
        raise ValueError(f"VGG19 has no layer {', '.join(sorted(unknown))}.")
    images = features = keras.Input((None, None, 3))
    for layer in vgg19.layers[1:]:  # the first is the input
        features = _replace_pooling(layer, pooling)(features)
        if layer.name in output_names:
            outputs[layer.name] = features
        if len(outputs) == len(output_names):
            break
    return keras.Model(images, outputs, name=f"vgg19_{pooling}_pooling")


def _replace_pooling(layer: keras.Layer, pooling: Pooling) -> keras.Layer:
    if pooling == "average" and isinstance(layer, keras.layers.MaxPooling2D):
        return keras.layers.AveragePooling2D(layer.pool_size, layer.strides, name=layer.name)
    return layer


def preprocess(images: tf.Tensor) -> tf.Tensor:
    """Convert RGB in [0, 1] to the inputs of VGG19: BGR in 0..255 less ImageNet's mean."""
    return tf.reverse(images, axis=[-1]) * 255.0 - tf.constant(BGR_MEANS)


class GramMatrix(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """The correlations of features over all positions: G_cd = sum_ij F_ijc F_ijd / (height width).

    Maps (batch, height, width, channels) to (batch, channels, channels), float32. Gatys et al., equation 3, as a mean
    over positions, so that images of different sizes can be compared.
    """

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Return the Gram matrices of a batch."""
        height, width = keras.ops.shape(features)[1:3]
        return tf.einsum("bijc,bijd->bcd", features, features) / tf.cast(height * width, tf.float32)


class StyleContentModel(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Maps images (batch, height, width, 3), float32 RGB in [0, 1], to the Features of its layers."""

    def __init__(
        self,
        vgg19: keras.Model,
        style_layers: Iterable[str],
        content_layers: Iterable[str],
        pooling: Pooling = "max",
        *,
        match_layers: Iterable[str] = (),  # of the style layers
    ) -> None:
        super().__init__(name="style_content_model")
        self.style_layers, self.content_layers, self.pooling = tuple(style_layers), tuple(content_layers), pooling
        self.match_layers = tuple(match_layers)
        self.extractor = feature_extractor(vgg19, {*self.style_layers, *self.content_layers}, pooling)
        self.gram_matrix = GramMatrix()
        self.gram_matrix.built = True  # it has no weights; without style layers Keras would warn

    def call(self, images: tf.Tensor, guides: Guides | None = None) -> Features:
        """Return Gram matrices of the style layers, and activations of the content and match layers.

        With `guides`, for one image, there is a Gram matrix of each region.
        """
        return self.features(self.extractor(preprocess(images)), guides)

    def features(self, activations: Mapping[str, tf.Tensor], guides: Guides | None) -> Features:
        """Return the Features of a batch's activations, by layer."""
        return {
            "style": {layer: self._gram_matrices(activations[layer], layer, guides) for layer in self.style_layers},
            "content": {layer: activations[layer] for layer in self.content_layers},
            # Separate tensors, so that a tape tells their gradients from those of the content.
            "match": {layer: tf.identity(activations[layer]) for layer in self.match_layers},
        }

    def _gram_matrices(self, activations: tf.Tensor, layer: str, guides: Guides | None) -> tf.Tensor:
        if guides is None:
            return self.gram_matrix(activations)
        return tf.concat([self.gram_matrix(part) for part in guided(activations, guides.channels[layer])], axis=0)

    def losses_and_gradient(
        self, image: tf.Tensor, losses: LossFunction, guides: Guides | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return [total, style, content, total variation, gradient norm], and dL/dx of the total loss L.

        `image` x is (height, width, 3), as is the gradient.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(image)
            loss_values = losses(image, self(image[tf.newaxis], guides))
            total = loss_values[0]
        gradient = tape.gradient(total, image)
        return append_norm(loss_values, gradient), gradient


def append_norm(losses: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Return the losses followed by the gradient's Euclidean norm."""
    return tf.concat([losses, [tf.norm(gradient)]], axis=0)
