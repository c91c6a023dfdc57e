"""`python -m benchmarks.engine.floor WIDTH`: what an evaluation takes, and what it could not do without.

That are its products, timed by themselves as TensorFlow's own kernels do them, and the bytes that the passes between
them have to move, at the rate at which this machine copies. What remains is what better code could gain at most.
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
from worker.device import configure_tensorflow
from worker.engine import convolution
from worker.engine.kept import Kept
from worker.engine.kernel_files import KERNEL_SHAPES
from worker.engine.passes import Passes
from worker.engine.style_content import gram_matrix, gram_slope
from worker.engine.vgg import Layers
from worker.engine.winograd import tiles

_ROUNDS: Final = 9
_COPIED: Final = 2**26  # values
_BYTES: Final = 4
_TRANSFORMED: Final = 36 / 16  # values of a plane in tiles, by those of the plane


@dataclass(frozen=True)
class Part:
    """Of one layer, or of its Gram matrix, both ways."""

    name: str
    products: float  # seconds
    moved: float  # bytes


def main(width: int) -> None:
    """One table."""
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
    found = Layers(scene.weights.path).upto(scene.recipe.content_layers)
    for at, (name, layer) in enumerate(found.items()):
        entering, leaving = layer.kernel.shape[2:]
        height, width = scene.plane(name)
        seen, slope = (_some(random, 1, height, width, channels) for channels in (entering, leaving))
        variant, pooled = layer.fast(Passes("max")), [*found, ""][at + 1].endswith("_conv1")
        products, moved = _timed(variant.forward, seen) + _timed(variant.back, slope), 0.0
        if isinstance(variant, convolution._Winograd):
            count = tiles(height) * tiles(width)
            there, back = (_some(random, 36, count, channels) for channels in (entering, leaving))
            products = _timed(lambda x, k: x @ k, there, layer.transformed)
            products += _timed(lambda x, k: tf.matmul(x, k, transpose_b=True), back, layer.transformed)
            moved = 2 * (1 + _TRANSFORMED) * (entering + leaving)
        gate = 2 * (1 + 5 / 16) if pooled else 3.0  # pooling and its bits both ways; else a ReLU's gradient
        yield Part(name, products, _BYTES * height * width * (moved + gate * leaving))


def _grams(scene: Scene, random: np.random.Generator) -> Iterator[Part]:
    for name in scene.recipe.style_layers:
        channels = KERNEL_SHAPES[name][-1]
        features = _some(random, 1, *scene.plane(name), channels)
        both = _timed(lambda x: gram_matrix(x[0]), features)
        both += _timed(gram_slope, features, _some(random, channels, channels))
        yield Part(f"Gram, {name}", both, 0.0)


def _evaluation(scene: Scene) -> float:
    content, style = scene.floats()
    image, kept = tf.constant(content), Kept()
    step = kept.step(scene.weights, scene.recipe, content.shape)
    evaluate = step.towards(kept.grams(scene.weights, scene.recipe, style, scene.width), image)
    return _seconds(lambda: float(evaluate(image)[0][0]))


def _copying() -> float:
    """Bytes a second, read and written."""
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
