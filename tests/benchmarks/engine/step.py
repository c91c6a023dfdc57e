"""One step of the tutorial at 512x384, update and clipping included: the engine and its baselines, alternately."""

import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf

from benchmarks.engine.peers.torch_process import start_torch_peer
from benchmarks.engine.workload import Workload
from benchmarks.figure import Figure, NotAvailable, figure, ratios, seconds
from benchmarks.processes import ROOT, Peer, peer_process
from shared.presets import PRESETS
from shared.recipe import VGG19_LAYERS, Recipe
from worker.engine.weights.hdf5 import KERNEL_SHAPES, load_kernels

_TORCH: Final = ROOT / ".venv-torch"
_PRODUCT: Final = 2048
_TOLERANCE: Final = 1e-4


def step_vs_tutorial(workload: Workload, rounds: int) -> Figure:
    """Compare with the tutorial's loop. Raises AssertionError if the losses differ."""
    with peer_process(*workload.engine_command()) as engine, peer_process(*workload.tutorial_command()) as baseline:
        return figure(_ratios(engine, baseline, rounds))


def step_vs_reference(workload: Workload, rounds: int) -> Figure:
    """Compare the fast path with the Keras model. Raises AssertionError if the losses differ."""
    with (
        peer_process(*workload.engine_command(path="fast")) as engine,
        peer_process(*workload.engine_command(path="reference")) as baseline,
    ):
        return figure(_ratios(engine, baseline, rounds))


def step_vs_torch(workload: Workload, rounds: int) -> Figure:
    """Compare with PyTorch in eager mode. Raises NotAvailable without PyTorch, AssertionError if the losses differ."""
    if not (_TORCH / "ready").exists():
        raise NotAvailable("PyTorch is not installed; run `make .venv-torch/ready`")
    with peer_process(*workload.engine_command()) as engine, _torch_peer(workload) as baseline:
        return figure(_ratios(engine, baseline, rounds))


def step_vs_arithmetic(workload: Workload, rounds: int) -> Figure:
    """Compare with the time of the direct convolutions at the rate of a large matrix product."""
    matrix = tf.constant(np.random.default_rng(0).standard_normal((_PRODUCT, _PRODUCT), np.float32))
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)[0]), autograph=False)
    products = flop(workload) / (2 * _PRODUCT**3)
    with peer_process(*workload.engine_command()) as engine:
        engine(), engine(), product()
        return figure(
            seconds(engine) / (products * min(seconds(lambda: float(product())) for _ in range(5)))
            for _ in range(rounds)
        )


def flop(workload: Workload) -> int:
    """Return the multiplications and additions of the direct convolutions, forward and backward to the image."""
    total = 0
    for layer in _layers(workload.recipe):
        total += 2 * 2 * int(np.prod(KERNEL_SHAPES[layer])) * math.prod(workload.layer_size(layer))
    return total


def named_kernels(weights: Path) -> dict[str, np.ndarray]:
    """Return the kernels for the peer, down to the tutorial's deepest layer."""
    layers = {layer: pair for layer, pair in load_kernels(weights).items() if layer in _layers(PRESETS["tutorial"])}
    kernels = {f"{layer}/kernel": kernel for layer, (kernel, _) in layers.items()}
    return kernels | {f"{layer}/bias": bias for layer, (_, bias) in layers.items()}


def _layers(recipe: Recipe) -> tuple[str, ...]:
    deepest = max(VGG19_LAYERS.index(layer) for layer in recipe.content_layers)
    return VGG19_LAYERS[: deepest + 1]


def _torch_peer(workload: Workload) -> AbstractContextManager[Peer]:
    images = dict(zip(("content", "style"), workload.float_images(), strict=True))
    return start_torch_peer(str(_TORCH / "bin/python"), images, named_kernels(workload.weights.path))


def _ratios(engine: Peer, baseline: Peer, rounds: int) -> list[float]:
    """Return the ratios of times after a check that the losses are equal."""
    for _ in range(2):
        loss, baseline_loss = engine(), baseline()
        if abs(loss - baseline_loss) > _TOLERANCE * abs(baseline_loss):
            raise AssertionError(f"The engine's loss is {loss}, the baseline's {baseline_loss}.")
    return ratios(engine, baseline, rounds)
