"""The speedup of the engine to the final loss of the tutorial's loop.

The loss is the tutorial's objective for the result image, in [0, 1]. The time of each side is its number of evaluations
times the median time of one, optimizer included, plus the start of a fresh process with all its tracing.
"""

import json
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.engine.workload import Workload
from benchmarks.figure import Figure, figure, seconds
from benchmarks.processes import Peer, peer_process

STEPS: Final = {256: 600, 512: 1000}
"""Of the tutorial's Adam, by width."""
_STARTS: Final = {False: 3, True: 1}
_FIRST_STEPS: Final = 3  # after these, L-BFGS has traced everything, too
_LATER_STEPS: Final = 3
Report = Callable[[str], None]
Command = tuple[str, ...]


def speedup(
    workload: Workload, cache: Path, show_progress: Report, report: Report, *, rounds: int, quick: bool
) -> Figure:
    """Return the tutorial's time divided by the engine's; `cache` is a folder for the tutorial's final losses.

    With `quick` the target loss is that of the engine with Adam: the same updates in half the time.
    """
    tutorial_command, engine_command = workload.tutorial_command(), workload.engine_command("lbfgs")
    adam_command, steps = workload.engine_command() if quick else tutorial_command, STEPS[workload.width]
    target = _final_loss(adam_command, workload, steps, cache, show_progress)
    starts = [
        (_start_seconds(tutorial_command, show_progress), _start_seconds(engine_command, show_progress))
        for _ in range(_STARTS[quick])
    ]
    with peer_process(*tutorial_command) as tutorial, peer_process(*engine_command) as engine:
        evaluations = _evaluations_to(target, engine, workload, show_progress)
        tutorial(), tutorial(), engine()
        pairs = [(seconds(tutorial), seconds(engine)) for _ in range(rounds)]
    report(
        f"{workload.width} px: the tutorial reaches {target:.4g} in {steps} steps, the engine in {evaluations} "
        f"evaluations; starts {starts}"
    )
    return figure(
        (steps * tutorial_seconds + tutorial_start) / (evaluations * engine_seconds + engine_start)
        for (tutorial_seconds, engine_seconds), (tutorial_start, engine_start) in zip(
            pairs, cycle(starts), strict=False
        )
    )


def _final_loss(command: Command, workload: Workload, steps: int, cache: Path, show_progress: Report) -> float:
    """Return the loss after the last step. It takes minutes, so it is cached."""
    path = cache / f"tutorial_{workload.width}_{workload.digest(steps, command[2])}.json"
    if not path.exists():
        with peer_process(*command) as step:
            for done in range(steps):
                if done % 20 == 0:
                    show_progress(f"{workload.width} px: the tutorial's Adam, step {done} of {steps}")
                step()
            cache.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"loss": step()}) + "\n")
    return float(json.loads(path.read_text())["loss"])


def _start_seconds(command: Command, show_progress: Report) -> float:
    """Return the seconds until a fresh process has traced everything, without the time of its steps."""
    show_progress(f"starting {command[2]}")
    began = time.perf_counter()
    with peer_process(*command) as step:
        for _ in range(_FIRST_STEPS):
            step()
        ended = time.perf_counter()
        return round(ended - began - _FIRST_STEPS * median(seconds(step) for _ in range(_LATER_STEPS)), 2)


def _evaluations_to(target: float, step: Peer, workload: Workload, show_progress: Report) -> int:
    for done in range(STEPS[workload.width]):
        loss = step()
        if done % 20 == 0:
            show_progress(f"{workload.width} px: the engine, evaluation {done}, loss {loss:.4g}")
        if loss <= target:
            return done + 1
    raise AssertionError(f"The engine does not reach {target} within the steps of the tutorial.")
