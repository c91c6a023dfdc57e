"""`python -m benchmarks.engine.ours WIDTH adam|lbfgs`: the product's engine at the tutorial's objective, as a peer."""

import sys
from typing import Final

from benchmarks.engine.scene import Scene, best_weights
from benchmarks.processes import Step, serve
from shared.recipe import LBFGS
from shared.settings import Settings
from worker.vgg19 import Vgg19

_MOST: Final = 1200  # steps


def steps_of(width: int, optimizer: str) -> Step:
    """As a worker's child does it. The tutorial's own optimiser is Adam."""
    scene = Scene(width, best_weights())
    engine = Vgg19(Settings(weights=str(scene.weights.path)))
    chosen = {"optimizer": LBFGS()} if optimizer == "lbfgs" else {}
    recipe = scene.recipe.model_copy(update={"steps": _MOST, **chosen})
    frames = engine.stylize(scene.content, [scene.style], recipe, None)
    return lambda: next(frames).losses.total


if __name__ == "__main__":
    serve(lambda: steps_of(int(sys.argv[1]), sys.argv[2]))
