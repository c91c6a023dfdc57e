"""Measures variants of an evaluation alternately, each in its own process, to find the fastest one on a GPU."""

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.engine.workload import Workload
from benchmarks.figure import percentiles, seconds
from benchmarks.gpu.report import MeasuredVariant
from benchmarks.gpu.rounds import Rounds, step_milliseconds
from benchmarks.measurement_runner import MeasurementRunner
from benchmarks.processes import Peer, module, peer_process

REFERENCE = "reference"


def measure_variants(
    workload: Workload, names: Iterable[str], rounds: Rounds, runner: MeasurementRunner
) -> dict[str, MeasuredVariant]:
    """Return results by name, without variants that fail. `runner` reports each first call and each failure."""
    width = str(workload.width)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        peers = {
            name: stack.enter_context(peer_process(*module("benchmarks.gpu.variant", name, width, folder)))
            for name in names  # they import TensorFlow concurrently; each loads its network before its first response
        }
        loaded = [name for name, peer in peers.items() if runner(f"{name} {width}, loaded", peer) is not None]
        first_calls = {
            name: call
            for name in loaded
            if (call := runner(f"{name} {width}, first call", partial(_first_call, peers[name], rounds)))
        }
        times = step_milliseconds({name: peers[name] for name in first_calls}, rounds)
        gradients = {name: np.load(Path(folder, f"{name}.npy")) for name in first_calls}
    return {
        name: MeasuredVariant(percentiles(times[name]), first_seconds, *_differences(name, first_calls, gradients))
        for name, (first_seconds, _) in first_calls.items()
    }


def _first_call(peer: Peer, rounds: Rounds) -> tuple[float, float]:
    """Return seconds and loss of the first call, and warm the peer up."""
    losses = list[float]()
    duration = seconds(lambda: losses.append(peer()))
    for _ in range(rounds.warm_up):
        peer()
    return round(duration, 3), losses[0]


def _differences(
    name: str, first_calls: Mapping[str, tuple[float, float]], gradients: Mapping[str, np.ndarray]
) -> tuple[float, float] | tuple[None, None]:
    """Return the relative differences of loss and gradient from the reference."""
    if REFERENCE not in first_calls:
        return None, None
    loss, gradient = first_calls[REFERENCE][1], gradients[REFERENCE]
    loss_difference = abs(first_calls[name][1] - loss) / abs(loss)
    return loss_difference, float(np.linalg.norm(gradients[name] - gradient) / np.linalg.norm(gradient))
