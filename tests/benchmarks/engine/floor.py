"""`python -m benchmarks.engine.floor WIDTH`: the time of an evaluation, and the least time that it could take.

The least time is that of the products, each timed by itself with TensorFlow's own kernels, plus that of the bytes that
the passes between them move, at this machine's copying rate. The rest is what better code could gain at most.
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

from benchmarks.engine.scene import Scene, best_weights
from benchmarks.figure import seconds
from shared.recipe import VGG19_LAYERS
from worker.devices.device import configure_tensorflow
from worker.engine.cache import Cache
from worker.engine.model import GramMatrix, feature_extractor, load_vgg19
from worker.engine.vgg19 import convolution
from worker.engine.vgg19.convolution import Kernels
from worker.engine.vgg19.fast_path import gram_gradient
from worker.engine.vgg19.fused_ops import FusedOps
from worker.engine.vgg19.winograd import tile_count
from worker.engine.weights.hdf5 import KERNEL_SHAPES

_ROUNDS: Final = 9
_COPIED: Final = 2**26  # values
_BYTES: Final = 4
_TRANSFORMED: Final = 36 / 16  # values of a plane in tiles, by those of the plane


@dataclass(frozen=True)
class Part:
    """The forward and backward pass of one layer, or of its Gram matrix."""

    name: str
    products: float  # seconds
    moved: float  # bytes


def main(width: int) -> None:
    """Print one table."""
    configure_tensorflow(0)
    scene, random = Scene(width, best_weights()), np.random.default_rng(0)
    parts = [*_convolutions(scene, random), *_grams(scene, random)]
    whole, rate = _evaluation(scene), _copying()
    table = Table("part", "products, ms", "bytes, MB", "at the copying rate, ms", title=f"{width}x{scene.height}")
    for part in [*parts, Part("all", sum(part.products for part in parts), sum(part.moved for part in parts))]:
        row = (1e3 * part.products, part.moved / 1e6, 1e3 * part.moved / rate)
        table.add_row(part.name, *(f"{value:.1f}" for value in row))
    floor = sum(part.products + part.moved / rate for part in parts)
    console = Console()
    console.print(table)
    console.print(f"{1e3 * floor:.0f} of the {1e3 * whole:.0f} ms of an evaluation; {rate / 1e9:.1f} GB/s")


def _convolutions(scene: Scene, random: np.random.Generator) -> Iterator[Part]:
    extractor, kernels = feature_extractor(load_vgg19(scene.weights.path), scene.recipe.content_layers), Kernels()
    found = {layer.name: kernels[layer] for layer in extractor.layers if layer.name in VGG19_LAYERS}
    for at, (name, layer) in enumerate(found.items()):
        entering, leaving = layer.kernel.shape[2:]
        height, width = scene.plane(name)
        features, gradient = (_some(random, 1, height, width, channels) for channels in (entering, leaving))
        variant, pooled = layer.fast(FusedOps("max")), [*found, ""][at + 1].endswith("_conv1")
        products, moved = _timed(variant.forward, features) + _timed(variant.backward, gradient), 0.0
        if isinstance(variant, convolution._Winograd):
            count = tile_count(height) * tile_count(width)
            forward, backward = (_some(random, 36, count, channels) for channels in (entering, leaving))
            products = _timed(lambda x, k: x @ k, forward, layer.transformed)
            products += _timed(lambda x, k: tf.matmul(x, k, transpose_b=True), backward, layer.transformed)
            moved = 2 * (1 + _TRANSFORMED) * (entering + leaving)
        gate = 2 * (1 + 5 / 16) if pooled else 3.0  # pooling and its mask, forward and backward; else a ReLU's gradient
        yield Part(name, products, _BYTES * height * width * (moved + gate * leaving))


def _grams(scene: Scene, random: np.random.Generator) -> Iterator[Part]:
    for name in scene.recipe.style_layers:
        channels = KERNEL_SHAPES[name][-1]
        features = _some(random, 1, *scene.plane(name), channels)
        both = _timed(GramMatrix(), features)
        both += _timed(gram_gradient, features, _some(random, 1, channels, channels))
        yield Part(f"Gram, {name}", both, 0.0)


def _evaluation(scene: Scene) -> float:
    content, style = scene.floats()
    image, cache = tf.constant(content), Cache()
    styles = [cache.style(scene.weights, scene.recipe, style, scene.width)]
    evaluate = cache.evaluation(scene.weights, scene.recipe, image, styles)
    return _seconds(lambda: float(evaluate(image)[0][0]))


def _copying() -> float:
    """Bytes read and written in a second."""
    values = tf.ones(_COPIED)
    scaled = tf.function(lambda x: 1.5 * x, jit_compile=True, autograph=False)
    return 2 * _BYTES * _COPIED / _seconds(lambda: scaled(values))


def _some(random: np.random.Generator, *shape: int) -> tf.Tensor:
    return tf.constant(random.standard_normal(shape, np.float32))


def _timed(act: Callable[..., Any], *given: tf.Tensor) -> float:
    traced = tf.function(act, autograph=False)
    return _seconds(lambda: traced(*given))


def _seconds(act: Callable[[], object]) -> float:
    act(), act()
    return median(seconds(act) for _ in range(_ROUNDS))


if __name__ == "__main__":
    main(int(sys.argv[1]))
