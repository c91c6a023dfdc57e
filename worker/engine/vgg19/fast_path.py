"""A StyleContentModel's evaluation on a processor, in about half the time, equal within float32's rounding.

The model's extractor is a chain of layers, so its gradient can be written out: that keeps one array a layer, or only
bits where the layer is pooled, and a `tf.custom_gradient` would stay registered for as long as the process lives.
Layers, weights, Gram matrices, targets and losses are the model's own.
"""

from dataclasses import dataclass, field

import keras
import tensorflow as tf

from worker.engine.model import Features, LossFunction, StyleContentModel, preprocess, with_norm
from worker.engine.vgg19.convolution import Convolution, Kernels
from worker.engine.vgg19.fused_ops import FusedOps, relu_gradient

Activations = dict[str, tf.Tensor]
"""By layer, (1, height, width, channels) after the ReLU."""


@dataclass(frozen=True)
class Saved:
    """What the backward pass needs of the forward pass.

    All activations, of which a traced graph keeps only those that are used: of a pooled layer the bits of `pool_masks`
    are enough, and of any other layer without a loss `relu_masks`, where it is positive.
    """

    activations: Activations = field(default_factory=dict)
    pool_masks: Activations = field(default_factory=dict)
    relu_masks: Activations = field(default_factory=dict)


class FastPath:
    """One instance per traced evaluation: what its fused operations compiled goes with it."""

    def __init__(self, model: StyleContentModel, kernels: Kernels, *, compiled: bool = True) -> None:
        self._model = model
        self._with_loss = {*model.style_layers, *model.content_layers}
        self._layers = model.extractor.layers[1:]  # the first is the input
        self._fused = FusedOps(model.pooling, compiled=compiled)
        self._convolutions: dict[str, Convolution] = {
            layer.name: kernels[layer].fast(self._fused) for layer in self._layers if _is_convolution(layer)
        }

    def losses_and_gradient(self, image: tf.Tensor, losses: LossFunction) -> tuple[tf.Tensor, tf.Tensor]:
        """As StyleContentModel.losses_and_gradient, by the chain rule: through the losses, then through the layers."""
        saved = self.forward(image)
        features = self._features(saved)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([image, features])
            found = losses(image, features)
            total = found[0]
        direct, by_features = tape.gradient(total, [image, features])
        gradient = direct + self.backward(saved, by_features)
        return with_norm(found, gradient), gradient

    def wait_until_compiled(self) -> None:
        """So that the memory which compiling takes does not come on top of an evaluation's."""
        self._fused.wait()

    def forward(self, image: tf.Tensor) -> Saved:
        """Through every layer, from an image (height, width, 3), float32 RGB in [0, 1]."""
        saved, x, before = Saved(), preprocess(image)[tf.newaxis], ""
        for layer in self._layers:
            if not _is_convolution(layer):
                x, saved.pool_masks[before] = self._fused.pool(x)
                continue
            if before and before not in saved.pool_masks and before not in self._with_loss:
                saved.relu_masks[before] = x > 0
                with tf.control_dependencies([saved.relu_masks[before]]):  # else both would be kept for a while
                    x = tf.identity(x)
            before = layer.name
            x = saved.activations[before] = self._convolutions[before].forward(x)
        return saved

    def backward(self, saved: Saved, by_features: Features) -> tf.Tensor:
        """dL/dx, (height, width, 3), from dL/dG of the style layers and dL/dF of the content layers."""
        deepest, *others = reversed(self._convolutions)
        own = self._own_gradients(deepest, saved, by_features)
        gradient = self._convolutions[deepest].backward(relu_gradient(saved.activations[deepest], *own))
        for layer in others:
            with tf.control_dependencies([gradient]):  # not before they are needed: they are large
                own = self._own_gradients(layer, saved, by_features)
            gradient = self._convolutions[layer].backward(self._before_relu(layer, saved, gradient, own))
        return tf.reverse(gradient[0], axis=[-1]) * 255.0

    def _features(self, saved: Saved) -> Features:
        model, activations = self._model, saved.activations
        return {
            "style": {layer: model.gram_matrix(activations[layer]) for layer in model.style_layers},
            "content": {layer: activations[layer] for layer in model.content_layers},
        }

    def _own_gradients(self, layer: str, saved: Saved, by_features: Features) -> list[tf.Tensor]:
        """dL/dF of a layer through its own losses, not through the layers after it."""
        found = []
        if layer in by_features["style"]:
            found.append(gram_gradient(saved.activations[layer], by_features["style"][layer]))
        if layer in by_features["content"]:
            found.append(by_features["content"][layer])
        return found

    def _before_relu(self, layer: str, saved: Saved, gradient: tf.Tensor, own: list[tf.Tensor]) -> tf.Tensor:
        """The gradient there, from that by the next convolution's input and the layer's own."""
        activations = saved.activations[layer]
        if layer in saved.pool_masks:
            gradient = self._fused.unpool(saved.pool_masks[layer], gradient, *activations.shape[1:3])
            return gradient + relu_gradient(activations, *own) if own else gradient
        return relu_gradient(activations, gradient, *own) if own else tf.where(saved.relu_masks[layer], gradient, 0.0)


def gram_gradient(activations: tf.Tensor, by_gram_matrix: tf.Tensor) -> tf.Tensor:
    """dL/dF = F (dL/dG + (dL/dG)^T) / (height width): one product, as G is symmetric. Gatys et al., equation 6.

    F is (1, height, width, channels), as is what is returned; dL/dG is (1, channels, channels).
    """
    _, height, width, channels = activations.shape
    both = (by_gram_matrix[0] + tf.transpose(by_gram_matrix[0])) / (height * width)
    return tf.reshape(tf.matmul(tf.reshape(activations, [-1, channels]), both), activations.shape)


def _is_convolution(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.Conv2D)
