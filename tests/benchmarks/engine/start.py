"""`python -m benchmarks.engine.start engine|tutorial WIDTH`: what a fresh process takes up to its first step's end.

Prints the seconds since it was started, which its parent has to subtract from, and those of a later step alone.
"""

import sys
import time
from statistics import median

from benchmarks.processes import run_alone

_LATER = 3


def start_up(which: str, width: int) -> float:
    """Seconds from a fresh process to its first step, that step's own time left out."""
    began = time.time()
    ended, step = (float(word) for word in run_alone("benchmarks.engine.start", which, str(width)).split())
    return ended - began - step


def _main(which: str, width: int) -> None:
    from benchmarks.engine import tutorial  # noqa: PLC0415 - TensorFlow comes with it, and belongs to what is measured
    from benchmarks.engine.scene import Scene, best_weights  # noqa: PLC0415 - the same
    from benchmarks.figure import seconds  # noqa: PLC0415 - the same

    scene = Scene(width, best_weights())
    step = scene.step() if which == "engine" else tutorial.of(scene)
    step()
    ended = time.time()
    print(ended, median(seconds(step) for _ in range(_LATER)))  # noqa: T201 - the answer


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
