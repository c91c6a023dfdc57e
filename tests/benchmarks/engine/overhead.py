"""The overhead of checkpoints, previews, progress and the lease, compared with the engine alone.

`python -m benchmarks.engine.overhead` is the process that measures it, because a worker's engine must set up TensorFlow
before anything else uses it.
"""

import json
import math
import time
from collections.abc import Iterator
from itertools import islice
from statistics import mean
from typing import Any, Final

from benchmarks.engine.workload import Workload, best_weights, png
from benchmarks.figure import Figure, figure, seconds
from benchmarks.processes import run_module
from benchmarks.stack import BenchmarkStack
from shared.ledger.ledger import Claim
from shared.presets import resolve
from shared.recipe import Recipe
from shared.settings import Settings
from worker.job.checkpoints import CheckpointWriter
from worker.job.heartbeat import Heartbeat
from worker.job.session import JobSession
from worker.tensorflow_engine import TensorFlowEngine

_ROUNDS: Final = 9  # equal blocks differ by more than the overhead
_METADATA: Final[dict[str, Any]] = {"fingerprint": "", "bitwise": True, "weights": ""}


def checkpoint_overhead() -> Figure:
    """Return the time of a step with all of these divided by that without, alternately; L-BFGS with a full history."""
    return figure(json.loads(run_module("benchmarks.engine.overhead")))


def _ratios() -> list[float]:
    workload = Workload(512, best_weights())
    recipe = resolve({"size": workload.width, "steps": 20_000, "stages": [{"scale": 1, "share": 1}]})
    with BenchmarkStack.run_temporarily() as stack:
        engine = TensorFlowEngine(Settings(weights=str(workload.weights.path)))
        iterates = engine.stylize(workload.content, [workload.style], recipe, None)
        for _ in islice(iterates, recipe.optimizer.history + 2):  # type: ignore[union-attr]  # it is L-BFGS
            pass
        steps = _block_steps(iterates, stack.services.settings)
        baselines = [_time_engine(iterates, steps)]
        return [_ratio(stack, _claim_job(stack, workload, recipe), iterates, steps, baselines) for _ in range(_ROUNDS)]


def _block_steps(iterates: Iterator[Any], settings: Settings) -> int:
    """Return the steps of a block: those between two checkpoints if writing one takes a fifth of a second."""
    sample = 8
    step_seconds = seconds(lambda: list(islice(iterates, sample))) / sample
    return math.ceil(2.1 * settings.checkpoint_seconds / step_seconds)


def _time_engine(iterates: Iterator[Any], steps: int) -> float:
    return seconds(lambda: [None for _ in islice(iterates, steps)])


def _ratio(stack: BenchmarkStack, claim: Claim, iterates: Iterator[Any], steps: int, baselines: list[float]) -> float:
    """Compare with the mean of the blocks before and after, in case the machine slows down in between."""
    job_seconds = _time_job(stack, claim, iterates, steps)
    baselines.append(_time_engine(iterates, steps))
    return job_seconds / mean(baselines[-2:])


def _claim_job(stack: BenchmarkStack, workload: Workload, recipe: Recipe) -> Claim:
    stack.submit(png(workload.content), png(workload.style), recipe)
    claim = stack.services.ledger.claim("bench", stack.services.settings.tiers, lease_seconds=600)
    if claim is None:
        raise RuntimeError("The submitted job could not be claimed.")
    return claim


def _time_job(stack: BenchmarkStack, claim: Claim, iterates: Iterator[Any], steps: int) -> float:
    """Return the seconds of a block run like in worker/job/run.py."""
    session = JobSession(stack.services, claim)
    with (
        Heartbeat(session) as heartbeat,
        CheckpointWriter(session, resumed_from=None, metadata=_METADATA) as writer,
    ):
        began = time.perf_counter()
        for iterate in heartbeat.record_steps(islice(iterates, steps)):
            if not session.control_flags.cancel:
                writer.offer(iterate)
        return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps(_ratios()))  # noqa: T201 - the result
