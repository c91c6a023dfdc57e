"""A whole step of the tutorial's objective with Adam: the engine's, the tutorial's own loop's, and PyTorch's."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from importlib.util import find_spec
from typing import Final

from benchmarks.engine.scene import Scene
from benchmarks.engine.step import named_kernels
from benchmarks.engine.torch_beside import torch_beside
from benchmarks.figure import percentiles
from benchmarks.gpu.report import Row, Rows
from benchmarks.gpu.rounds import Rounds, milliseconds_in_turns
from benchmarks.processes import ROOT, Peer, beside

_TORCH: Final = ROOT / ".venv-torch"


def step_adam(scene: Scene, rounds: Rounds, note: Callable[[str], None], *, device: str) -> Rows:
    """Each side reads the loss after each step. `device` is PyTorch's: cuda or cpu.

    A side that fails is reported through `note` and left out. Raises RuntimeError if the engine fails.
    """
    with ExitStack() as stack:
        started = {name: stack.enter_context(side) for name, side in _sides(scene, device)}  # they start at once
        warm = dict(_warmed_up(started, rounds.warm_up, note))
        found = {name: percentiles(times) for name, times in milliseconds_in_turns(warm, rounds).items()}
    return Rows([Row(f"step_adam_{scene.width}", "ms", found.pop("easel"), found)])


def _sides(scene: Scene, device: str) -> Iterator[tuple[str, AbstractContextManager[Peer]]]:
    yield "easel", beside(*scene.ours())
    yield "tutorial", beside(*scene.theirs())
    if python := _python_with_torch():
        images = dict(zip(("content", "style"), scene.floats(), strict=True))
        yield "pytorch", torch_beside(python, images, named_kernels(scene.weights.path), device)


def _python_with_torch() -> str | None:
    if (_TORCH / "ready").exists():
        return str(_TORCH / "bin/python")
    return sys.executable if find_spec("torch") else None


def _warmed_up(started: Mapping[str, Peer], steps: int, note: Callable[[str], None]) -> Iterator[tuple[str, Peer]]:
    for name, peer in started.items():
        try:
            losses = [peer() for _ in range(steps)]
        except RuntimeError as error:
            if name == "easel":
                raise
            note(f"{name}: {error}")
        else:
            note(f"{name}: losses {losses[0]:.6g} at first, {losses[-1]:.6g} after {steps - 1} steps")
            yield name, peer
