"""`python -m benchmarks.engine.lower_bound WIDTH`: the time of an evaluation and its lower bound.

The lower bound is the time of the matrix products, each timed separately with TensorFlow's own kernels, plus the time
to move the bytes of the passes between them at this machine's copy rate. Better code could save the difference at most.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from benchmarks.engine.workload import Workload, best_weights
from benchmarks.figure import seconds
from shared.recipe import VGG19_LAYERS
from worker.devices.device import configure_tensorflow
from worker.engine.cache import Cache
from worker.engine.model import GramMatrix, feature_extractor, load_vgg19
from worker.engine.vgg19 import convolution
from worker.engine.vgg19.convolution import KernelCache
from worker.engine.vgg19.fast_path import gram_gradient
from worker.engine.vgg19.fused_ops import FusedOps
from worker.engine.vgg19.winograd import tile_count
from worker.engine.weights.hdf5 import KERNEL_SHAPES

_ROUNDS: Final = 9
_COPIED: Final = 2**26  # elements
_BYTES: Final = 4
_TILE_EXPANSION: Final = 36 / 16  # elements of a plane in transformed tiles, relative to the plane


@dataclass(frozen=True)
class Part:
    """Forward and backward pass of one layer or of its Gram matrix."""

    name: str
    products: float  # seconds
    bytes_moved: float


def main(width: int) -> None:
    """Print one table."""
    configure_tensorflow(0)
    workload, random = Workload(width, best_weights()), np.random.default_rng(0)
    parts = [*_convolutions(workload, random), *_gram_matrices(workload, random)]
    evaluation, rate = _evaluation_seconds(workload), _copy_rate()
    table = Table("part", "products, ms", "bytes, MB", "at the copy rate, ms", title=f"{width}x{workload.height}")
    for part in [*parts, Part("all", sum(part.products for part in parts), sum(part.bytes_moved for part in parts))]:
        row = (1e3 * part.products, part.bytes_moved / 1e6, 1e3 * part.bytes_moved / rate)
        table.add_row(part.name, *(f"{value:.1f}" for value in row))
    lower_bound = sum(part.products + part.bytes_moved / rate for part in parts)
    console = Console()
    console.print(table)
    console.print(
        f"lower bound {1e3 * lower_bound:.0f} ms, evaluation {1e3 * evaluation:.0f} ms, copy rate {rate / 1e9:.1f} GB/s"
    )


def _convolutions(workload: Workload, random: np.random.Generator) -> Iterator[Part]:
    extractor, kernels = (
        feature_extractor(load_vgg19(workload.weights.path), workload.recipe.content_layers),
        KernelCache(),
    )
    layers = {layer.name: kernels[layer] for layer in extractor.layers if layer.name in VGG19_LAYERS}
    for index, (name, layer) in enumerate(layers.items()):
        in_channels, out_channels = layer.kernel.shape[2:]
        height, width = workload.layer_size(name)
        features, gradient = (_noise(random, 1, height, width, channels) for channels in (in_channels, out_channels))
        variant, is_pooled = layer.fast(FusedOps("max")), [*layers, ""][index + 1].endswith("_conv1")
        products, moved = _time_op(variant.forward, features) + _time_op(variant.backward, gradient), 0.0
        if isinstance(variant, convolution._Winograd):
            count = tile_count(height) * tile_count(width)
            forward, backward = (_noise(random, 36, count, channels) for channels in (in_channels, out_channels))
            products = _time_op(lambda x, k: x @ k, forward, layer.transformed)
            products += _time_op(lambda x, k: tf.matmul(x, k, transpose_b=True), backward, layer.transformed)
            moved = 2 * (1 + _TILE_EXPANSION) * (in_channels + out_channels)
        # Pooling and its mask, forward and backward; else the gradient of the ReLU.
        moved += (2 * (1 + 5 / 16) if is_pooled else 3.0) * out_channels
        yield Part(name, products, _BYTES * height * width * moved)


def _gram_matrices(workload: Workload, random: np.random.Generator) -> Iterator[Part]:
    for name in workload.recipe.style_layers:
        channels = KERNEL_SHAPES[name][-1]
        features = _noise(random, 1, *workload.layer_size(name), channels)
        products = _time_op(GramMatrix(), features)
        products += _time_op(gram_gradient, features, _noise(random, 1, channels, channels))
        yield Part(f"Gram, {name}", products, 0.0)


def _evaluation_seconds(workload: Workload) -> float:
    content, style = workload.float_images()
    image, cache = tf.constant(content), Cache()
    evaluate = cache.evaluation(workload.weights, workload.recipe, image, [style], [workload.width])
    return _median_seconds(lambda: float(evaluate(image)[0][0]))


def _copy_rate() -> float:
    """Return bytes read and written per second."""
    values = tf.ones(_COPIED)
    scale = tf.function(lambda x: 1.5 * x, jit_compile=True, autograph=False)
    return 2 * _BYTES * _COPIED / _median_seconds(lambda: scale(values))


def _noise(random: np.random.Generator, *shape: int) -> tf.Tensor:
    return tf.constant(random.standard_normal(shape, np.float32))


def _time_op(op: Callable[..., Any], *arguments: tf.Tensor) -> float:
    traced = tf.function(op, autograph=False)
    return _median_seconds(lambda: traced(*arguments))


def _median_seconds(call: Callable[[], object]) -> float:
    call(), call()  # to warm up
    return median(seconds(call) for _ in range(_ROUNDS))


if __name__ == "__main__":
    main(int(sys.argv[1]))
