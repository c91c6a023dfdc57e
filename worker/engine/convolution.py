"""VGG19's convolutions: 3x3, zeros beyond the edges, then a bias and a ReLU; forward, and back to a gradient.

The two variants differ by a few millionths. Features are (1, height, width, channels) float32.
"""

from functools import cached_property
from typing import Final, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from worker.engine.passes import Passes
from worker.engine.winograd import transformed

_COLOURS: Final = 3
_FEWEST_CHANNELS: Final = 128
"""On one side: below, Winograd's passes over memory cost more than the multiplications that it saves."""
_MANY_CHANNELS: Final = 256
_MOST_PLACES: Final = 2**17
"""Of a layer with fewer channels: beyond, its tiles would be most of a step's memory, for a gain of a few per cent."""


class Convolution(Protocol):
    """One layer."""

    def forward(self, features: tf.Tensor) -> tf.Tensor:
        """What the layer gives, after its ReLU."""

    def back(self, slope: tf.Tensor) -> tf.Tensor:
        """The gradient by the layer's input, from the one by what it gives before its ReLU."""


class Layer:
    """In the forms that the variants want. They take memory, so each is made when it is needed."""

    def __init__(self, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        """(3, 3, in, out) and (out,)."""
        self.kernel, self.bias = _held(kernel), _held(bias)

    def direct(self) -> Convolution:
        """As TensorFlow does it; on a GPU cuDNN chooses the algorithm."""
        return _Direct(self)

    def fast(self, passes: Passes) -> Convolution:
        """The faster variant on a processor."""
        entering, leaving = self.kernel.shape[2:]
        if entering == _COLOURS:
            return _First(self, passes)
        return _Winograd(self, passes) if leaving >= _FEWEST_CHANNELS else _Direct(self)

    @cached_property
    def mirrored(self) -> tf.Tensor:
        """(3, 3, out, in): a convolution with it leads back."""
        return _held(self.kernel.numpy()[::-1, ::-1].transpose(0, 1, 3, 2))

    @cached_property
    def transformed(self) -> tf.Tensor:
        """(36, in, out)."""
        with tf.init_scope():
            return transformed(self.kernel)


def _held(array: NDArray[np.float32]) -> tf.Tensor:
    """Outside of whatever graph is being traced: within, it would be copied into every one."""
    with tf.init_scope():
        return tf.constant(array)


def _convolved(features: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(features, kernel, 1, "SAME"), bias))


_convolved_at_once = tf.function(
    _convolved,
    input_signature=[tf.TensorSpec([1, None, None, None]), tf.TensorSpec([3, 3, None, None]), tf.TensorSpec([None])],
    autograph=False,
)
"""For any shape. What lies between the three would be kept by eager execution: each is as large as the outcome."""


class _Direct:
    def __init__(self, layer: Layer) -> None:
        self._layer = layer

    def forward(self, features: tf.Tensor) -> tf.Tensor:
        convolve = _convolved_at_once if tf.executing_eagerly() else _convolved
        return convolve(features, self._layer.kernel, self._layer.bias)

    def back(self, slope: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(slope, self._layer.mirrored, 1, "SAME")


class _First(_Direct):
    """From three channels, for which TensorFlow has no fast way back: one product, and a sum of nine shifted planes."""

    def __init__(self, layer: Layer, passes: Passes) -> None:
        super().__init__(layer)
        self._passes = passes

    def back(self, slope: tf.Tensor) -> tf.Tensor:
        _, height, width, channels = slope.shape
        taps = tf.reshape(self._layer.kernel, [-1, channels])
        products = tf.matmul(tf.reshape(slope, [-1, channels]), taps, transpose_b=True)
        return self._passes.gathered(products, height, width)


class _Winograd:
    """The products in TensorFlow's own matrix kernel, what lies around them compiled."""

    def __init__(self, layer: Layer, passes: Passes) -> None:
        self._layer, self._passes = layer, passes

    def forward(self, features: tf.Tensor) -> tf.Tensor:
        if self._too_large(features):
            return self._layer.direct().forward(features)
        products = tf.matmul(self._passes.into_tiles(features), self._layer.transformed)
        return self._passes.activated(products, self._layer.bias, *features.shape[1:3])

    def back(self, slope: tf.Tensor) -> tf.Tensor:
        if self._too_large(slope):
            return self._layer.direct().back(slope)
        products = tf.matmul(self._passes.slope_into_tiles(slope), self._layer.transformed, transpose_b=True)
        return self._passes.slope_from_tiles(products, *slope.shape[1:3])

    def _too_large(self, plane: tf.Tensor) -> bool:
        few = min(self._layer.kernel.shape[2:]) < _MANY_CHANNELS
        return bool(few and plane.shape[1] * plane.shape[2] > _MOST_PLACES)
