"""Measures the variants of an evaluation in turns, each in a process of its own, to find the fastest one on a GPU."""

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.attempts import Attempts
from benchmarks.engine.scene import Scene
from benchmarks.figure import percentiles, seconds
from benchmarks.gpu.report import MeasuredVariant
from benchmarks.gpu.rounds import Rounds, milliseconds_in_turns
from benchmarks.processes import Peer, beside, module

REFERENCE = "reference"


def measure_variants(
    scene: Scene, names: Iterable[str], rounds: Rounds, attempts: Attempts
) -> dict[str, MeasuredVariant]:
    """Results by name, without the variants that fail. `attempts` reports each first call and each failure."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        started = {
            name: stack.enter_context(beside(*module("benchmarks.gpu.variant", name, str(scene.width), folder)))
            for name in names  # they import TensorFlow at the same time; each loads its network before its first answer
        }
        loaded = [name for name, peer in started.items() if attempts(f"{name} {scene.width}, loaded", peer) is not None]
        first = {
            name: call
            for name in loaded
            if (call := attempts(f"{name} {scene.width}, first call", partial(_first_call, started[name], rounds)))
        }
        times = milliseconds_in_turns({name: started[name] for name in first}, rounds)
        gradients = {name: np.load(Path(folder, f"{name}.npy")) for name in first}
    differences = {name: _differences(name, first, gradients) for name in first}
    return {name: MeasuredVariant(percentiles(times[name]), first[name][0], *differences[name]) for name in first}


def _first_call(peer: Peer, rounds: Rounds) -> tuple[float, float]:
    """Seconds and loss of the first call, after which the peer is warmed up."""
    losses = list[float]()
    took = seconds(lambda: losses.append(peer()))
    for _ in range(rounds.warm_up):
        peer()
    return round(took, 3), losses[0]


def _differences(
    name: str, first: Mapping[str, tuple[float, float]], gradients: Mapping[str, np.ndarray]
) -> tuple[float, float] | tuple[None, None]:
    """Relative differences of loss and gradient from the reference's."""
    if REFERENCE not in first:
        return None, None
    loss, gradient = first[REFERENCE][1], gradients[REFERENCE]
    apart = float(np.linalg.norm(gradients[name] - gradient) / np.linalg.norm(gradient))
    return abs(first[name][1] - loss) / abs(loss), apart
