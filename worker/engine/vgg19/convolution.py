"""VGG19's convolutions (3x3, zero padding, bias, ReLU) in a direct and a fast variant, forward and backward.

The two variants differ by a few millionths. Activations are (1, height, width, channels) float32.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Final, Protocol

import keras
import tensorflow as tf

from worker.engine.vgg19.fused_ops import FusedOps
from worker.engine.vgg19.winograd import transform_kernel

_COLORS: Final = 3
_MIN_CHANNELS: Final = 128
"""Of the output. Below this, Winograd's passes over memory cost more than the multiplications that it saves."""
_MANY_CHANNELS: Final = 256
_MAX_POSITIONS: Final = 2**17
"""For layers with fewer channels. Above this, tiles would take most of a step's memory, to save a few percent."""


class Convolution(Protocol):
    """The convolution of one layer."""

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        """Return the layer's activations, after its ReLU."""

    def backward(self, gradient: tf.Tensor) -> tf.Tensor:
        """Return the gradient with respect to the layer's input, from that of its output before the ReLU."""


class Kernel:
    """One layer's weights, in the forms that the variants need. Each takes memory, so it is created on first use."""

    def __init__(self, kernel: tf.Tensor, bias: tf.Tensor) -> None:
        """`kernel` is (3, 3, in, out) and `bias` (out,), float32."""
        self.kernel, self.bias = kernel, bias

    def direct(self) -> Convolution:
        """Return TensorFlow's own convolution."""
        return _Direct(self)

    def fast(self, fused: FusedOps) -> Convolution:
        """Return the fastest variant on a CPU."""
        in_channels, out_channels = self.kernel.shape[2:]
        if in_channels == _COLORS:
            return _FirstLayer(self, fused)
        return _Winograd(self, fused) if out_channels >= _MIN_CHANNELS else _Direct(self)

    def create_forms(self) -> None:
        """Create the forms that the fast variant needs at some size, except for the first layer, which needs none."""
        in_channels, out_channels = self.kernel.shape[2:]
        if out_channels >= _MIN_CHANNELS:
            _ = self.transformed
        if _COLORS < in_channels < _MANY_CHANNELS:
            _ = self.flipped

    @cached_property
    def flipped(self) -> tf.Tensor:
        """(3, 3, out, in), for the gradient with respect to the input."""
        with tf.init_scope():
            return tf.transpose(tf.reverse(self.kernel, axis=[0, 1]), [0, 1, 3, 2])

    @cached_property
    def transformed(self) -> tf.Tensor:
        """(36, in, out), for the Winograd algorithm."""
        with tf.init_scope():
            return transform_kernel(self.kernel)


class KernelCache:
    """Creates the Kernel of each VGG19 layer on first use, and shares it between evaluations."""

    def __init__(self) -> None:
        self._kernels: dict[str, Kernel] = {}

    def __getitem__(self, layer: keras.layers.Conv2D) -> Kernel:
        """Return the layer's kernel, without a copy of its arrays."""
        if layer.name not in self._kernels:
            with tf.init_scope():  # outside of any graph, because each graph would get a copy
                kernel, bias = tf.convert_to_tensor(layer.kernel), tf.convert_to_tensor(layer.bias)
            self._kernels[layer.name] = Kernel(kernel, bias)
        return self._kernels[layer.name]

    def create_all(self, layers: Iterable[keras.Layer]) -> None:
        """Create the kernels of all convolutions, with all forms.

        If they are created between passes over images, TensorFlow's memory is fragmented: at 1024x768 a process then
        takes up to 150 MiB more.
        """
        for layer in layers:
            if isinstance(layer, keras.layers.Conv2D):
                self[layer].create_forms()


class _Direct:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, self._kernel.kernel, 1, "SAME"), self._kernel.bias))

    def backward(self, gradient: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(gradient, self._kernel.flipped, 1, "SAME")


class _FirstLayer(_Direct):
    """The convolution of three channels, whose gradient is slow in TensorFlow: one product and nine shifted sums."""

    def __init__(self, kernel: Kernel, fused: FusedOps) -> None:
        super().__init__(kernel)
        self._fused = fused

    def backward(self, gradient: tf.Tensor) -> tf.Tensor:
        _, height, width, channels = gradient.shape
        taps = tf.reshape(self._kernel.kernel, [-1, channels])
        products = tf.matmul(tf.reshape(gradient, [-1, channels]), taps, transpose_b=True)
        return self._fused.sum_taps(products, height, width)


class _Winograd:
    """The Winograd algorithm: products by TensorFlow's matrix kernel, transforms compiled by XLA."""

    def __init__(self, kernel: Kernel, fused: FusedOps) -> None:
        self._kernel, self._fused = kernel, fused

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        if self._is_too_large(x):
            return self._kernel.direct().forward(x)
        products = tf.matmul(self._fused.to_tiles(x), self._kernel.transformed)
        return self._fused.activations_from_tiles(products, self._kernel.bias, *x.shape[1:3])

    def backward(self, gradient: tf.Tensor) -> tf.Tensor:
        if self._is_too_large(gradient):
            return self._kernel.direct().backward(gradient)
        products = tf.matmul(self._fused.gradient_to_tiles(gradient), self._kernel.transformed, transpose_b=True)
        return self._fused.gradient_from_tiles(products, *gradient.shape[1:3])

    def _is_too_large(self, plane: tf.Tensor) -> bool:
        has_few_channels = min(self._kernel.kernel.shape[2:]) < _MANY_CHANNELS
        return bool(has_few_channels and plane.shape[1] * plane.shape[2] > _MAX_POSITIONS)
