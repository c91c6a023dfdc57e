"""`python -m benchmarks.engine.start engine|tutorial WIDTH`: what a fresh process takes until all is traced.

Prints when its first steps were done, from which its parent has to subtract, and the seconds of as many later steps.
"""

import sys
import time
from functools import partial
from statistics import median

from benchmarks.processes import run_alone

_FIRST = 3  # steps: by then L-BFGS, too, has done whatever it does for the first time
_LATER = 3


def start_up(which: str, width: int) -> float:
    """Seconds from a fresh process to its first steps, what they take by themselves left out."""
    began = time.time()
    ended, steps = (float(word) for word in run_alone("benchmarks.engine.start", which, str(width)).split())
    return ended - began - steps


def _main(which: str, width: int) -> None:
    from benchmarks.engine import tutorial  # noqa: PLC0415 - TensorFlow comes with it, and belongs to what is measured
    from benchmarks.engine.scene import Scene, best_weights  # noqa: PLC0415 - the same
    from benchmarks.figure import seconds  # noqa: PLC0415 - the same

    scene = Scene(width, best_weights())
    step = partial(next, scene.painting()) if which == "engine" else tutorial.of(scene)
    for _ in range(_FIRST):
        step()
    ended = time.time()
    print(ended, _FIRST * median(seconds(step) for _ in range(_LATER)))  # noqa: T201 - the answer


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
