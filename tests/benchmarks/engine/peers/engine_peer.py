"""`python -m benchmarks.engine.peers.engine_peer WIDTH adam|lbfgs [PATH]`: the engine on the tutorial's objective."""

import sys
from typing import Final, cast

from benchmarks.engine.workload import Workload, best_weights
from benchmarks.processes import Step, serve
from shared.recipe import LBFGS
from worker.devices.device import configure_tensorflow
from worker.engine import stylize
from worker.engine.cache import PathName

_MAX_STEPS: Final = 1200


def create_step(width: int, optimizer: str, path: str = "auto") -> Step:
    """Return a function that runs one step as a worker does. The tutorial's own optimizer is Adam."""
    configure_tensorflow(0)
    workload = Workload(width, best_weights())
    overrides = {"optimizer": LBFGS()} if optimizer == "lbfgs" else {}
    recipe = workload.recipe.model_copy(update={"steps": _MAX_STEPS, **overrides})
    images = workload.content, [workload.style]
    iterates = stylize(*images, recipe, weights=workload.weights, path=cast("PathName", path))

    def step() -> float:
        losses = next(iterates).losses
        assert losses is not None
        return losses.total

    return step


if __name__ == "__main__":
    serve(lambda: create_step(int(sys.argv[1]), *sys.argv[2:]))
