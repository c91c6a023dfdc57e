"""`python -m benchmarks.engine.ours WIDTH adam|lbfgs [reference|fast]`: Easel's engine at the tutorial's objective."""

import sys
from typing import Final, cast

from benchmarks.engine.scene import Scene, best_weights
from benchmarks.processes import Step, serve
from shared.recipe import LBFGS
from worker.devices.device import configure_tensorflow
from worker.engine import stylize
from worker.engine.cache import PathName

_MOST: Final = 1200  # steps


def steps_of(width: int, optimizer: str, path: str = "auto") -> Step:
    """As a worker's child does it. The tutorial's own optimizer is Adam."""
    configure_tensorflow(0)
    scene = Scene(width, best_weights())
    chosen = {"optimizer": LBFGS()} if optimizer == "lbfgs" else {}
    recipe = scene.recipe.model_copy(update={"steps": _MOST, **chosen})
    images = scene.content, [scene.style]
    iterates = stylize(*images, recipe, weights=scene.weights, path=cast("PathName", path))
    return lambda: next(iterates).losses.total


if __name__ == "__main__":
    serve(lambda: steps_of(int(sys.argv[1]), *sys.argv[2:]))
