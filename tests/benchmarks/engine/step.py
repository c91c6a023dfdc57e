"""One step of the tutorial at 512x384, update and clipping included: the engine's against the others', in turns."""

import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf

from benchmarks.engine.scene import Scene
from benchmarks.engine.torch_beside import torch_beside
from benchmarks.figure import Figure, NotHere, figure, ratios, seconds
from benchmarks.processes import ROOT, Peer, beside
from shared.recipe import PRESETS, VGG19_LAYERS, Recipe
from worker.engine.weights.hdf5 import KERNEL_SHAPES, load_kernels

_TORCH: Final = ROOT / ".venv-torch"
_PRODUCT: Final = 2048
_TOLERANCE: Final = 1e-4


def step_vs_tutorial(scene: Scene, rounds: int) -> Figure:
    """Against TensorFlow's loop. Raises AssertionError where the losses differ."""
    with beside(*scene.ours()) as step, beside(*scene.theirs()) as theirs:
        return figure(_ratios(step, theirs, rounds))


def step_vs_reference(scene: Scene, rounds: int) -> Figure:
    """The fast path against the Keras model. Raises AssertionError where the losses differ."""
    with beside(*scene.ours(path="fast")) as step, beside(*scene.ours(path="reference")) as theirs:
        return figure(_ratios(step, theirs, rounds))


def step_vs_torch(scene: Scene, rounds: int) -> Figure:
    """Against PyTorch, eager. Raises NotHere without `make .venv-torch/ready`, AssertionError where losses differ."""
    if not (_TORCH / "ready").exists():
        raise NotHere("PyTorch is not installed; `make .venv-torch/ready`")
    with beside(*scene.ours()) as step, _torch(scene) as theirs:
        return figure(_ratios(step, theirs, rounds))


def step_vs_arithmetic(scene: Scene, rounds: int) -> Figure:
    """Against the time that the direct convolutions would take at the rate of a large matrix product."""
    matrix = tf.constant(np.random.default_rng(0).standard_normal((_PRODUCT, _PRODUCT), np.float32))
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)[0]), autograph=False)
    products = flop(scene) / (2 * _PRODUCT**3)
    with beside(*scene.ours()) as step:
        step(), step(), product()
        return figure(
            seconds(step) / (products * min(seconds(lambda: float(product())) for _ in range(5))) for _ in range(rounds)
        )


def flop(scene: Scene) -> int:
    """Of the direct convolutions, forward and back to the image, multiplications and additions."""
    total = 0
    for layer in _layers(scene.recipe):
        total += 2 * 2 * int(np.prod(KERNEL_SHAPES[layer])) * math.prod(scene.plane(layer))
    return total


def named_kernels(weights: Path) -> dict[str, np.ndarray]:
    """As the peer reads them, down to the tutorial's deepest layer."""
    found = {layer: pair for layer, pair in load_kernels(weights).items() if layer in _layers(PRESETS["tutorial"])}
    kernels = {f"{layer}/kernel": kernel for layer, (kernel, _) in found.items()}
    return kernels | {f"{layer}/bias": bias for layer, (_, bias) in found.items()}


def _layers(recipe: Recipe) -> tuple[str, ...]:
    deepest = max(VGG19_LAYERS.index(layer) for layer in recipe.content_layers)
    return VGG19_LAYERS[: deepest + 1]


def _torch(scene: Scene) -> AbstractContextManager[Peer]:
    images = dict(zip(("content", "style"), scene.floats(), strict=True))
    return torch_beside(str(_TORCH / "bin/python"), images, named_kernels(scene.weights.path))


def _ratios(step: Peer, theirs: Peer, rounds: int) -> list[float]:
    """Seconds by seconds, once both have found the same losses."""
    for _ in range(2):
        ours, other = step(), theirs()
        if abs(ours - other) > _TOLERANCE * abs(other):
            raise AssertionError(f"The engine's loss {ours} is not theirs, {other}.")
    return ratios(step, theirs, rounds)
