"""How much sooner the engine reaches the loss at which the tutorial's loop ends.

The loss is the tutorial's own objective, on the picture as it is delivered, in [0, 1]. Both sides' time is counted
evaluations times the paired median of one, optimiser included, and the start of a fresh process with all its tracing on
top.
"""

import json
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.engine.scene import Scene
from benchmarks.figure import Figure, figure, seconds
from benchmarks.processes import Peer, beside

STEPS: Final = {256: 600, 512: 1000}
"""Of the tutorial's Adam, by width."""
_STARTS: Final = {False: 3, True: 1}
_FIRST: Final = 3  # steps: by then L-BFGS, too, has done whatever it does for the first time
_LATER: Final = 3
Tell = Callable[[str], None]
Command = tuple[str, ...]


def speedup(scene: Scene, remembered: Path, tell: Tell, note: Tell, *, rounds: int, quick: bool) -> Figure:
    """Tutorial's seconds by the engine's; `remembered` is a folder for what takes the tutorial's loop minutes.

    `tell` says what is being done, `note` what was found.

    With `quick` the loss to reach is that of the engine's own Adam, the same updates in half the time.
    """
    adam, steps = scene.ours() if quick else scene.theirs(), STEPS[scene.width]
    target = _loss_of(adam, scene, steps, remembered, tell)
    starts = [(_start_up(scene.theirs(), tell), _start_up(scene.ours("lbfgs"), tell)) for _ in range(_STARTS[quick])]
    with beside(*scene.theirs()) as theirs, beside(*scene.ours("lbfgs")) as ours:
        evaluations = _evaluations_to(target, ours, scene, tell)
        theirs(), theirs(), ours()
        pairs = [(seconds(theirs), seconds(ours)) for _ in range(rounds)]
    note(f"{scene.width} px: {evaluations} evaluations reach the {target:.4g} of {steps} steps; starts {starts}")
    return figure(
        (steps * one + their_start) / (evaluations * other + our_start)
        for (one, other), (their_start, our_start) in zip(pairs, cycle(starts), strict=False)
    )


def _loss_of(command: Command, scene: Scene, steps: int, remembered: Path, tell: Tell) -> float:
    """After the last step; minutes, so it is written down."""
    found = remembered / f"tutorial_{scene.width}_{scene.digest(steps, command[2])}.json"
    if not found.exists():
        with beside(*command) as step:
            for done in range(steps):
                if done % 20 == 0:
                    tell(f"{scene.width} px: the tutorial's Adam, step {done} of {steps}")
                step()
            remembered.mkdir(parents=True, exist_ok=True)
            found.write_text(json.dumps({"loss": step()}) + "\n")
    return float(json.loads(found.read_text())["loss"])


def _start_up(command: Command, tell: Tell) -> float:
    """Seconds from a fresh process until it has traced all, what its steps take by themselves left out."""
    tell(f"starting {command[2]}")
    began = time.perf_counter()
    with beside(*command) as step:
        for _ in range(_FIRST):
            step()
        ended = time.perf_counter()
        return round(ended - began - _FIRST * median(seconds(step) for _ in range(_LATER)), 2)


def _evaluations_to(target: float, step: Peer, scene: Scene, tell: Tell) -> int:
    for done in range(STEPS[scene.width]):
        loss = step()
        if done % 20 == 0:
            tell(f"{scene.width} px: the engine, evaluation {done}, loss {loss:.4g}")
        if loss <= target:
            return done + 1
    raise AssertionError(f"The engine does not reach {target} as soon as the tutorial.")
