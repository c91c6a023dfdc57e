"""One evaluation of the tutorial's objective at 512x384: the engine's against the others', in turns."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf

from benchmarks.engine import tutorial
from benchmarks.engine.scene import Scene
from benchmarks.figure import Figure, figure, ratios, seconds
from shared.recipe import VGG19_LAYERS
from worker.engine.kernel_files import KERNEL_SHAPES, load_kernels

TORCH_PYTHON: Final = Path(__file__).parents[3] / ".venv-torch/bin/python"
_PEER: Final = Path(__file__).with_name("torch_peer.py")
_PRODUCT: Final = 2048
_TOLERANCE: Final = 1e-4
Act = Callable[[], object]


def step_figures(scene: Scene, rounds: int) -> dict[str, Figure | None]:
    """step_vs_tutorial, step_vs_torch, step_vs_arithmetic. Raises AssertionError where a loss differs from theirs."""
    step, theirs = scene.step(), tutorial.of(scene)
    ours = step()
    _same(ours, theirs(), "the tutorial's loop")
    with _torch(scene, ours) as peer:
        return {
            "step_vs_tutorial": figure(ratios(step, theirs, rounds)),
            "step_vs_torch": figure(ratios(step, peer, rounds)) if peer else None,
            "step_vs_arithmetic": _by_arithmetic(step, scene, rounds),
        }


def flop(width: int, height: int, deepest: str = tutorial.CONTENT) -> int:
    """Of the direct convolutions, forward and back to the image, multiplications and additions."""
    total = 0
    for layer in VGG19_LAYERS[: VGG19_LAYERS.index(deepest) + 1]:
        halvings = int(layer[len("block")]) - 1
        total += 2 * 2 * int(np.prod(KERNEL_SHAPES[layer])) * (width >> halvings) * (height >> halvings)
    return total


def _by_arithmetic(step: Act, scene: Scene, rounds: int) -> Figure:
    """Against the time that the direct convolutions would take at the rate of a large matrix product."""
    matrix = tf.constant(np.random.default_rng(0).standard_normal((_PRODUCT, _PRODUCT), np.float32))
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)[0]), autograph=False)
    products = flop(scene.width, scene.height) / (2 * _PRODUCT**3)
    step(), product()
    return figure(
        seconds(step) / (products * min(seconds(lambda: float(product())) for _ in range(5))) for _ in range(rounds)
    )


@contextmanager
def _torch(scene: Scene, ours: float) -> Iterator[Act | None]:
    """A step of PyTorch's; None where it is not installed."""
    if not TORCH_PYTHON.exists():
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        images, kernels = Path(folder, "images.npz"), Path(folder, "kernels.npz")
        content, style = scene.floats()
        np.savez(images, content=content[np.newaxis], style=style[np.newaxis])
        found = load_kernels(scene.weights.path)
        parts = {f"{layer}/kernel": kernel for layer, (kernel, _) in found.items()}
        parts |= {f"{layer}/bias": bias for layer, (_, bias) in found.items()}
        np.savez(kernels, **parts)  # type: ignore[arg-type]  # its second parameter is no array
        command = [str(TORCH_PYTHON), str(_PEER), str(images), str(kernels)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            step = partial(_ask, process)
            _same(ours, step(), "PyTorch's")
            yield step
            process.terminate()


def _ask(process: "subprocess.Popen[str]") -> float:
    """The peer's next step."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError("Pipes were asked for.")
    print(file=process.stdin, flush=True)
    return float(process.stdout.readline())


def _same(ours: float, theirs: float, whose: str) -> None:
    if abs(ours - theirs) > _TOLERANCE * abs(theirs):
        msg = f"The engine's loss {ours} is not {whose}, {theirs}."
        raise AssertionError(msg)
