"""A whole step of the tutorial's objective with Adam: by the engine, the tutorial's own loop, and PyTorch."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from importlib.util import find_spec
from typing import Final

from benchmarks.engine.peers.torch_process import start_torch_peer
from benchmarks.engine.step import named_kernels
from benchmarks.engine.workload import Workload
from benchmarks.figure import percentiles
from benchmarks.gpu.report import Row, Rows
from benchmarks.gpu.rounds import Rounds, step_milliseconds
from benchmarks.processes import ROOT, Peer, peer_process

_TORCH: Final = ROOT / ".venv-torch"


def step_adam(workload: Workload, rounds: Rounds, report: Callable[[str], None], *, device: str) -> Rows:
    """Measure all sides; each reads the loss after each step. `device` is PyTorch's: cuda or cpu.

    A baseline that fails is reported through `report` and left out. Raises RuntimeError if the engine fails.
    """
    with ExitStack() as stack:
        peers = {name: stack.enter_context(peer) for name, peer in _peers(workload, device)}  # they start concurrently
        warm = dict(_warm_up(peers, rounds.warm_up, report))
        figures = {name: percentiles(times) for name, times in step_milliseconds(warm, rounds).items()}
    return Rows([Row(f"step_adam_{workload.width}", "ms", figures.pop("easel"), figures)])


def _peers(workload: Workload, device: str) -> Iterator[tuple[str, AbstractContextManager[Peer]]]:
    yield "easel", peer_process(*workload.engine_command())
    yield "tutorial", peer_process(*workload.tutorial_command())
    if python := _python_with_torch():
        images = dict(zip(("content", "style"), workload.float_images(), strict=True))
        yield "pytorch", start_torch_peer(python, images, named_kernels(workload.weights.path), device)


def _python_with_torch() -> str | None:
    if (_TORCH / "ready").exists():
        return str(_TORCH / "bin/python")
    return sys.executable if find_spec("torch") else None


def _warm_up(peers: Mapping[str, Peer], steps: int, report: Callable[[str], None]) -> Iterator[tuple[str, Peer]]:
    for name, peer in peers.items():
        try:
            losses = [peer() for _ in range(steps)]
        except RuntimeError as error:
            if name == "easel":
                raise
            report(f"{name}: {error}")
        else:
            report(f"{name}: first loss {losses[0]:.6g}, loss after {steps - 1} steps {losses[-1]:.6g}")
            yield name, peer
