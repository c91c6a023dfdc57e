"""VGG19 up to the deepest layer asked for, forward and back.

Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015. It is a chain, so
its gradient is written out: that keeps one array a layer, or only bits where the layer is pooled, and a
`tf.custom_gradient` would stay registered for ever.
Layer names are those of `keras.applications.VGG19`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import tensorflow as tf

from shared.recipe import VGG19_LAYERS
from worker.engine.convolution import Layer
from worker.engine.kernel_files import BGR_MEANS, load_kernels
from worker.engine.passes import Passes, gated

Features = dict[str, tf.Tensor]
"""By layer, (1, height, width, channels) after the ReLU."""
Slope = Callable[[], tf.Tensor]
"""Makes the gradient by a layer's features, when the way back has come there: they are large."""


@dataclass(frozen=True)
class Trail:
    """What the way back needs of the way forward.

    All features, of which a traced graph keeps only those that are asked for; of a pooled layer the bits that tell what
    was `let_through`; of any other layer that nobody weighs, where it is `positive`.
    """

    features: Features = field(default_factory=dict)
    let_through: Features = field(default_factory=dict)
    positive: Features = field(default_factory=dict)


class Layers:
    """A weights file, read once, for any number of networks."""

    def __init__(self, weights: Path) -> None:
        """Raises WeightsUnavailable if `weights` is no VGG19 without top."""
        found = load_kernels(weights)
        self._layers = {name: Layer(*found.pop(name)) for name in VGG19_LAYERS}  # not all of them twice at once

    def upto(self, wanted: Iterable[str]) -> dict[str, Layer]:
        """The layers down to the deepest that is wanted."""
        deepest = max(VGG19_LAYERS.index(layer) for layer in wanted)
        return {name: self._layers[name] for name in VGG19_LAYERS[: deepest + 1]}


class Vgg19:
    """Some of its layers, from the first on, by the variants that suit this machine or by the plain ones."""

    def __init__(self, layers: Mapping[str, Layer], passes: Passes, *, fast: bool) -> None:
        self._passes = passes
        self._convolutions = {name: layer.fast(passes) if fast else layer.direct() for name, layer in layers.items()}

    def forward(self, image: tf.Tensor, weighed: Collection[str] = ()) -> Trail:
        """What every layer sees in an image (height, width, 3), float32 RGB in [0, 1]."""
        trail, features, before = Trail(), _seen_first(image), ""
        for name, convolution in self._convolutions.items():
            if _pooled_before(name):
                features, trail.let_through[before] = self._passes.halved(features)
            elif before and before not in weighed:
                trail.positive[before] = features > 0
                with tf.control_dependencies([trail.positive[before]]):  # else it may be left for later, and they kept
                    features = tf.identity(features)
            features = trail.features[name] = convolution.forward(features)
            before = name
        return trail

    def views(self, image: tf.Tensor) -> Iterator[tuple[str, tf.Tensor]]:
        """The same layer by layer, for whoever need not keep them."""
        features = _seen_first(image)
        for name, convolution in self._convolutions.items():
            features = convolution.forward(self._passes.pooled(features) if _pooled_before(name) else features)
            yield name, features

    def back(self, trail: Trail, slopes: Mapping[str, Slope]) -> tf.Tensor:
        """The gradient by the image, from the ones by some layers' features, the deepest among them."""
        deepest, *others = reversed(self._convolutions)
        slope = self._convolutions[deepest].back(gated(trail.features[deepest], slopes[deepest]()))
        for name in others:
            with tf.control_dependencies([slope]):
                own = [slopes[name]()] if name in slopes else []
            slope = self._convolutions[name].back(self._before_relu(name, trail, slope, own))
        return tf.reverse(slope[0], axis=[-1]) * 255.0

    def _before_relu(self, layer: str, trail: Trail, slope: tf.Tensor, own: list[tf.Tensor]) -> tf.Tensor:
        """The gradient there, from that by what follows the layer, pooling included, and its `own`."""
        features = trail.features[layer]
        if layer in trail.let_through:
            slope = self._passes.unhalved(trail.let_through[layer], slope, *features.shape[1:3])
            return slope + gated(features, *own) if own else slope
        return gated(features, slope, *own) if own else tf.where(trail.positive[layer], slope, 0.0)


def preprocess(image: tf.Tensor) -> tf.Tensor:
    """RGB in [0, 1] to what VGG19 was trained on: BGR of 0..255 less ImageNet's mean."""
    return tf.reverse(image, axis=[-1]) * 255.0 - tf.constant(BGR_MEANS)


def _seen_first(image: tf.Tensor) -> tf.Tensor:
    return preprocess(image)[tf.newaxis]


def _pooled_before(layer: str) -> bool:
    return layer.endswith("_conv1") and layer != "block1_conv1"
