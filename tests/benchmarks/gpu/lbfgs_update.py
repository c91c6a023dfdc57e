"""Time of an L-BFGS update without its evaluation: `python -m benchmarks.gpu.lbfgs_update WIDTH PAIRS`."""

import json
import sys
from itertools import islice
from typing import Final

import tensorflow as tf

from benchmarks.engine.workload import Workload, best_weights
from benchmarks.figure import percentiles, seconds
from benchmarks.gpu.report import Row, Rows
from benchmarks.gpu.rounds import PATH, Rounds
from benchmarks.processes import run_module
from shared.recipe import LBFGS
from worker.devices.device import configure_tensorflow
from worker.engine import stylize
from worker.engine.cache import Cache

_WARM_UP: Final = LBFGS().history + 5  # steps, until the history is full


def lbfgs_update(workload: Workload, rounds: Rounds) -> Rows:
    """Measure steps and plain evaluations in pairs; return their differences and both times."""
    pairs = rounds.count * rounds.steps
    steps, evaluations = json.loads(run_module("benchmarks.gpu.lbfgs_update", str(workload.width), str(pairs)))
    times = {
        "lbfgs_update": [step - evaluation for step, evaluation in zip(steps, evaluations, strict=True)],
        "lbfgs_step": steps,
        "evaluation": evaluations,
    }
    return Rows([Row(f"{name}_{workload.width}", "ms", percentiles(each)) for name, each in times.items()])


def _milliseconds(workload: Workload, pairs: int) -> tuple[list[float], list[float]]:
    """Time steps and plain evaluations alternately. The losses are read after each."""
    recipe, cache = workload.recipe.model_copy(update={"optimizer": LBFGS(), "steps": 20_000}), Cache()
    iterates = stylize(workload.content, [workload.style], recipe, weights=workload.weights, cache=cache, path=PATH)
    for _ in islice(iterates, _WARM_UP):
        pass
    image = tf.constant(workload.float_images()[0])
    # The cached one that the steps use.
    evaluate = cache.evaluation(workload.weights, recipe, image, [workload.style], [workload.width], path=PATH)
    evaluate(image)
    steps, evaluations = [], []
    for _ in range(pairs):
        steps.append(1e3 * seconds(lambda: next(iterates)))
        evaluations.append(1e3 * seconds(lambda: float(evaluate(image)[0][0])))
    return steps, evaluations


if __name__ == "__main__":
    configure_tensorflow(0)
    print(json.dumps(_milliseconds(Workload(int(sys.argv[1]), best_weights()), int(sys.argv[2]))))  # noqa: T201 - the result
