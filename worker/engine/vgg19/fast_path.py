"""A StyleContentModel's evaluation on a CPU in about half the time, equal within the rounding of float32.

The model's extractor is a chain of layers, so the backward pass is written explicitly. It needs only one array per
layer, or the bits of a mask if the layer is pooled. A `tf.custom_gradient` would stay registered until the process
ends. Layers, weights, Gram matrices, targets and losses are those of the model.
"""

from dataclasses import dataclass, field

import keras
import tensorflow as tf

from worker.engine.model import Features, LossFunction, StyleContentModel, append_norm, preprocess
from worker.engine.regions import Guides, guided
from worker.engine.vgg19.convolution import Convolution, KernelCache
from worker.engine.vgg19.fused_ops import FusedOps, relu_gradient

Activations = dict[str, tf.Tensor]
"""By layer, (1, height, width, channels) after the ReLU."""


@dataclass(frozen=True)
class ForwardResults:
    """The results of the forward pass that the backward pass needs.

    A traced graph keeps only the activations that are used. For a pooled layer the bits in `pool_masks` are enough. For
    any other layer without a loss, `relu_masks` is enough: where its activations are positive.
    """

    activations: Activations = field(default_factory=dict)
    pool_masks: Activations = field(default_factory=dict)
    relu_masks: Activations = field(default_factory=dict)


class FastPath:
    """One instance per traced evaluation, so that its compiled operations are freed with it."""

    def __init__(self, model: StyleContentModel, kernels: KernelCache, *, compiled: bool = True) -> None:
        self._model = model
        self._layers_with_loss = {*model.style_layers, *model.content_layers}
        self._layers = model.extractor.layers[1:]  # the first is the input
        self._fused = FusedOps(model.pooling, compiled=compiled)
        self._convolutions: dict[str, Convolution] = {
            layer.name: kernels[layer].fast(self._fused) for layer in self._layers if _is_convolution(layer)
        }

    def losses_and_gradient(
        self, image: tf.Tensor, losses: LossFunction, guides: Guides | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Like StyleContentModel.losses_and_gradient, by the chain rule: first through the losses, then the layers."""
        saved = self.forward(image)
        features = self._model.features(saved.activations, guides)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([image, features])
            loss_values = losses(image, features)
            total = loss_values[0]
        direct_gradient, feature_gradients = tape.gradient(total, [image, features])
        gradient = direct_gradient + self.backward(saved, feature_gradients, guides)
        return append_norm(loss_values, gradient), gradient

    def wait_until_compiled(self) -> None:
        """Wait, so that an evaluation does not need its memory at the same time as the compiler."""
        self._fused.wait_until_compiled()

    def forward(self, image: tf.Tensor) -> ForwardResults:
        """Run every layer on an image (height, width, 3), float32 RGB in [0, 1]."""
        saved, x, previous = ForwardResults(), preprocess(image)[tf.newaxis], ""
        for layer in self._layers:
            if not _is_convolution(layer):
                x, saved.pool_masks[previous] = self._fused.pool(x)
                continue
            if previous and previous not in saved.pool_masks and previous not in self._layers_with_loss:
                saved.relu_masks[previous] = x > 0
                # Without this dependency, mask and activations could be in memory at the same time.
                with tf.control_dependencies([saved.relu_masks[previous]]):
                    x = tf.identity(x)
            previous = layer.name
            x = saved.activations[previous] = self._convolutions[previous].forward(x)
        return saved

    def backward(self, saved: ForwardResults, feature_gradients: Features, guides: Guides | None = None) -> tf.Tensor:
        """Return dL/dx, (height, width, 3), from dL/dG of the style layers and dL/dF of the content layers."""
        deepest, *other_layers = reversed(self._convolutions)
        loss_gradients = _loss_gradients(deepest, saved, feature_gradients, guides)
        gradient = self._convolutions[deepest].backward(relu_gradient(saved.activations[deepest], *loss_gradients))
        for layer in other_layers:
            with tf.control_dependencies([gradient]):  # they are large, so compute them as late as possible
                loss_gradients = _loss_gradients(layer, saved, feature_gradients, guides)
            gradient = self._convolutions[layer].backward(
                self._gradient_before_relu(layer, saved, gradient, loss_gradients)
            )
        return tf.reverse(gradient[0], axis=[-1]) * 255.0

    def _gradient_before_relu(
        self, layer: str, saved: ForwardResults, gradient: tf.Tensor, loss_gradients: list[tf.Tensor]
    ) -> tf.Tensor:
        """Return the gradient before a layer's ReLU; `gradient` is that of the next convolution's input."""
        activations = saved.activations[layer]
        if layer in saved.pool_masks:
            gradient = self._fused.unpool(saved.pool_masks[layer], gradient, *activations.shape[1:3])
            return gradient + relu_gradient(activations, *loss_gradients) if loss_gradients else gradient
        if loss_gradients:
            return relu_gradient(activations, gradient, *loss_gradients)
        return tf.where(saved.relu_masks[layer], gradient, 0.0)


def _loss_gradients(
    layer: str, saved: ForwardResults, feature_gradients: Features, guides: Guides | None
) -> list[tf.Tensor]:
    """Return dL/dF of a layer through its own losses, without those of deeper layers."""
    gradients, activations = [], saved.activations[layer]
    if layer in feature_gradients["style"]:
        by_region = feature_gradients["style"][layer]
        if guides is None:
            gradients.append(gram_gradient(activations, by_region))
        else:
            channels = guides.channels[layer]
            parts = zip(guided(activations, channels), tf.unstack(channels), tf.unstack(by_region), strict=True)
            gradients += [gram_gradient(part, gradient[tf.newaxis]) * channel for part, channel, gradient in parts]
    gradients += [feature_gradients[kind][layer] for kind in ("content", "match") if layer in feature_gradients[kind]]
    return gradients


def gram_gradient(activations: tf.Tensor, gram_matrix_gradient: tf.Tensor) -> tf.Tensor:
    """Return dL/dF = F (dL/dG + (dL/dG)^T) / (height width): one product, as G is symmetric. Gatys et al., equation 6.

    F and the result are (1, height, width, channels); dL/dG is (1, channels, channels).
    """
    _, height, width, channels = activations.shape
    symmetric = (gram_matrix_gradient[0] + tf.transpose(gram_matrix_gradient[0])) / (height * width)
    return tf.reshape(tf.matmul(tf.reshape(activations, [-1, channels]), symmetric), activations.shape)


def _is_convolution(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.Conv2D)
