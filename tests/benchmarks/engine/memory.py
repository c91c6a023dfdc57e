"""The most memory that a process holds which does two steps at 1024x768: the engine's against the tutorial's loop's."""

from pathlib import Path
from typing import Final

from benchmarks.engine.scene import Scene
from benchmarks.figure import Figure, NotHere, figure
from benchmarks.processes import beside

_STEPS: Final = 2


def peak_memory_vs_tutorial(scene: Scene, rounds: int) -> Figure:
    """Bytes by bytes, each of a process of its own. Raises NotHere on other systems than Linux."""
    return figure(_peak(scene.ours()) / _peak(scene.theirs()) for _ in range(rounds))


def most_resident(process: int | str = "self") -> int:
    """Bytes that a process held, ever, by the kernel's account. Raises NotHere on other systems than Linux."""
    account = Path(f"/proc/{process}/status")
    if not account.exists():
        raise NotHere("only Linux tells how much memory a process held at most")
    return next(1024 * int(line.split()[1]) for line in account.read_text().splitlines() if line.startswith("VmHWM:"))


def _peak(command: tuple[str, ...]) -> int:
    with beside(*command) as step:
        for _ in range(_STEPS):
            step()
        return most_resident(step.pid)
