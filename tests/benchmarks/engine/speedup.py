"""How much sooner the engine reaches the loss at which the tutorial's loop ends.

The loss is the tutorial's own objective, on the picture as it is delivered, in [0, 1]. Both sides' time is counted
evaluations times the paired median of one, optimiser included, and the start of a fresh process with all its tracing on
top.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.engine import tutorial
from benchmarks.engine.scene import Scene
from benchmarks.engine.start import start_up
from benchmarks.figure import Figure, figure, seconds
from worker.engine import Iterate, stylize

STEPS: Final = {256: 600, 512: 1000}
"""Of the tutorial's Adam, by width."""
Tell = Callable[[str], None]


def speedup(scene: Scene, remembered: Path, tell: Tell, *, rounds: int, quick: bool) -> Figure:
    """Tutorial's seconds by the engine's; `remembered` is a folder for what takes the tutorial's loop minutes.

    With `quick` the loss to reach is that of the engine's own Adam, the same updates in half the time.
    """
    target = _engines_own(scene, tell) if quick else _tutorials_loss(scene, remembered, tell)
    evaluations, going_on = _evaluations_to(target, scene, tell)
    tell(f"{scene.width} px: {evaluations} evaluations reach {target:.4g} of {STEPS[scene.width]} steps; starting both")
    starts = [start_up(which, scene.width) for which in ("tutorial", "engine")]
    theirs, ours = tutorial.of(scene), partial(next, going_on)
    theirs(), ours()
    pairs = [(seconds(theirs), seconds(ours)) for _ in range(rounds)]
    tell(f"{scene.width} px: started in {starts[0]:.1f} s and {starts[1]:.1f} s")
    return figure((STEPS[scene.width] * one + starts[0]) / (evaluations * other + starts[1]) for one, other in pairs)


def _tutorials_loss(scene: Scene, remembered: Path, tell: Tell) -> float:
    """After its last step; minutes, so it is written down."""
    found = remembered / f"tutorial_{scene.width}_{scene.weights.sha256[:8]}.json"
    if not found.exists():
        step, steps = tutorial.of(scene), STEPS[scene.width]
        for done in range(steps):
            if done % 20 == 0:
                tell(f"{scene.width} px: the tutorial's loop, step {done} of {steps}")
            step()
        remembered.mkdir(parents=True, exist_ok=True)
        found.write_text(json.dumps({"steps": steps, "loss": step()}) + "\n")
    return float(json.loads(found.read_text())["loss"])


def _engines_own(scene: Scene, tell: Tell) -> float:
    """The tutorial's loss as tests/acceptance/test_tutorial_reference.py finds it equal."""
    steps = STEPS[scene.width]
    recipe, loss = scene.recipe.model_copy(update={"steps": steps}), 0.0
    for iterate in stylize(scene.content, [scene.style], recipe, weights=scene.weights):
        loss = iterate.losses.total
        if iterate.step % 20 == 0:
            tell(f"{scene.width} px: the tutorial's updates, step {iterate.step} of {steps}")
    return loss


def _evaluations_to(target: float, scene: Scene, tell: Tell) -> tuple[int, Iterator[Iterate]]:
    """Of the engine with L-BFGS, from the same first image; and the run, which can go on."""
    run = scene.painting()
    for iterate in run:
        if iterate.step % 20 == 0:
            tell(f"{scene.width} px: the engine, evaluation {iterate.step}, loss {iterate.losses.total:.4g}")
        if iterate.losses.total <= target:
            return iterate.step + 1, run
    raise AssertionError(f"The engine does not reach {target} in its last evaluation.")
