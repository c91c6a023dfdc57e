"""What L-BFGS adds to an evaluation: `python -m benchmarks.gpu.lbfgs_update WIDTH PAIRS` measures it by itself."""

import json
import sys
from itertools import islice
from typing import Final

import tensorflow as tf

from benchmarks.engine.scene import Scene, best_weights
from benchmarks.figure import percentiles, seconds
from benchmarks.gpu.report import Row, Rows
from benchmarks.gpu.rounds import Rounds
from benchmarks.processes import run_alone
from shared.recipe import LBFGS
from worker.devices.device import configure_tensorflow
from worker.engine import stylize
from worker.engine.cache import Cache

_WARM_UP: Final = LBFGS().history + 5  # steps, until the history is full


def lbfgs_update(scene: Scene, rounds: Rounds) -> Rows:
    """Differences between a step and a bare evaluation, measured in pairs, and both by themselves."""
    pairs = rounds.count * rounds.steps
    steps, evaluations = json.loads(run_alone("benchmarks.gpu.lbfgs_update", str(scene.width), str(pairs)))
    found = {
        "lbfgs_update": [step - evaluation for step, evaluation in zip(steps, evaluations, strict=True)],
        "lbfgs_step": steps,
        "evaluation": evaluations,
    }
    return Rows([Row(f"{name}_{scene.width}", "ms", percentiles(times)) for name, times in found.items()])


def _milliseconds(scene: Scene, pairs: int) -> tuple[list[float], list[float]]:
    """The times of steps and of bare evaluations, in turns. The losses are read after each."""
    recipe, cache = scene.recipe.model_copy(update={"optimizer": LBFGS(), "steps": 20_000}), Cache()
    iterates = stylize(scene.content, [scene.style], recipe, weights=scene.weights, cache=cache)
    for _ in islice(iterates, _WARM_UP):
        pass
    image = tf.constant(scene.floats()[0])
    styles = [cache.style(scene.weights, recipe, scene.style, scene.width)]
    evaluate = cache.evaluation(scene.weights, recipe, image, styles)  # the cached one, which the steps use
    evaluate(image)
    steps, evaluations = [], []
    for _ in range(pairs):
        steps.append(1e3 * seconds(lambda: next(iterates).losses.total))
        evaluations.append(1e3 * seconds(lambda: float(evaluate(image)[0][0])))
    return steps, evaluations


if __name__ == "__main__":
    configure_tensorflow(0)
    print(json.dumps(_milliseconds(Scene(int(sys.argv[1]), best_weights()), int(sys.argv[2]))))  # noqa: T201 - the answer
