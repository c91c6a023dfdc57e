"""The number and order of measurements: the sides alternate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.figure import seconds
from benchmarks.processes import Step
from worker.engine.cache import PathName


@dataclass(frozen=True)
class Rounds:
    """`count` rounds of `steps` each, after `warm_up` steps."""

    count: int
    steps: int
    warm_up: int


PATH: Final[PathName] = "reference"
"""The engine's path on a GPU. On a CPU it is set explicitly, because the fast path takes seconds to compile."""

FULL = Rounds(count=3, steps=60, warm_up=10)
QUICK = Rounds(count=1, steps=10, warm_up=3)


def step_milliseconds(sides: Mapping[str, Step], rounds: Rounds) -> dict[str, list[float]]:
    """Return the time of each step by side; the sides alternate between rounds. All sides must be warm."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds.count):
        for name, step in sides.items():
            times[name] += [1e3 * seconds(step) for _ in range(rounds.steps)]
    return times
