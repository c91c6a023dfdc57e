"""How many measurements are taken, and in which order: the sides take turns."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.figure import seconds
from benchmarks.processes import Step


@dataclass(frozen=True)
class Rounds:
    """`count` rounds of `steps` each, after `warm_up` steps."""

    count: int
    steps: int
    warm_up: int


FULL = Rounds(count=3, steps=60, warm_up=10)
QUICK = Rounds(count=1, steps=10, warm_up=3)


def milliseconds_in_turns(sides: Mapping[str, Step], rounds: Rounds) -> dict[str, list[float]]:
    """The time of each step, by side. All sides must be warm."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds.count):
        for name, step in sides.items():
            found[name] += [1e3 * seconds(step) for _ in range(rounds.steps)]
    return found
