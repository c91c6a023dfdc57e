"""The most memory that a process holds which does two steps at 1024x768: the engine's against the tutorial's loop's.

`python -m benchmarks.engine.memory engine|tutorial WIDTH` is one such process; it prints the kernel's account of it.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from benchmarks.engine.scene import Scene, best_weights
from benchmarks.figure import Figure, figure
from benchmarks.processes import run_alone
from shared.settings import Settings

_WIDTH: Final = 1024
_STEPS: Final = 2


def peak_memory_vs_tutorial(*, quick: bool) -> Figure:
    """Bytes by bytes, each of a process of its own."""
    rounds = 1 if quick else 3
    return figure(_peak("engine") / _peak("tutorial") for _ in range(rounds))


def most_resident() -> int:
    """Bytes of this process, ever. Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _peak(which: str) -> int:
    return int(run_alone("benchmarks.engine.memory", which, str(_WIDTH)))


def _engine(scene: Scene) -> None:
    from worker.vgg19 import Vgg19  # noqa: PLC0415 - the other process has no need of it

    engine = Vgg19(Settings(weights=str(scene.weights.path)))
    recipe = scene.recipe.model_copy(update={"steps": _STEPS - 1})  # the last picture's losses take one evaluation more
    for _ in engine.stylize(scene.content, [scene.style], recipe, None):
        pass


def _tutorial(scene: Scene) -> None:
    from benchmarks.engine import tutorial  # noqa: PLC0415 - Keras comes with it

    step = tutorial.of(scene)
    for _ in range(_STEPS):
        step()


_LOOPS: Final[Mapping[str, Callable[[Scene], None]]] = MappingProxyType({"engine": _engine, "tutorial": _tutorial})

if __name__ == "__main__":
    _LOOPS[sys.argv[1]](Scene(int(sys.argv[2]), best_weights()))
    print(most_resident())  # noqa: T201 - the answer
