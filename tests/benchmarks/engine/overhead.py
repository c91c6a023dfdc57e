"""What it costs a step that its job is kept: checkpoints, previews, progress, the lease; against the engine alone.

`python -m benchmarks.engine.overhead` is the process that measures it: a worker's engine sets up TensorFlow before
anything else has used it.
"""

import json
import math
import threading
import time
from collections.abc import Iterator
from itertools import islice
from statistics import mean
from typing import Any, Final

from benchmarks.engine.scene import Scene, best_weights, png
from benchmarks.figure import Figure, figure, seconds
from benchmarks.processes import run_alone
from benchmarks.stack import House
from shared.ledger.ledger import Claim
from shared.recipe import Recipe, resolve
from shared.settings import Settings
from worker.job.checkpoints import Scribe
from worker.job.heartbeat import Heartbeat
from worker.tensorflow_engine import Vgg19

_ROUNDS: Final = 9  # blocks that are alike differ by more than what is looked for
_NOTE: Final[dict[str, Any]] = {"fingerprint": "", "bitwise": True, "weights": ""}


def checkpoint_overhead() -> Figure:
    """Seconds of a step with all of it by seconds without, in turns; L-BFGS with its history full, on one size."""
    return figure(json.loads(run_alone("benchmarks.engine.overhead")))


def _ratios() -> list[float]:
    scene = Scene(512, best_weights())
    recipe = resolve({"size": scene.width, "steps": 20_000, "stages": [{"scale": 1, "share": 1}]})
    with House.opened() as house:
        engine = Vgg19(Settings(weights=str(scene.weights.path)))
        frames = engine.stylize(scene.content, [scene.style], recipe, None)
        for _ in islice(frames, recipe.optimizer.history + 2):  # type: ignore[union-attr]  # it is L-BFGS
            pass
        block = _block(frames, house.services.settings)
        alone = [_alone(frames, block)]
        return [_ratio(house, _claimed(house, scene, recipe), frames, block, alone) for _ in range(_ROUNDS)]


def _block(frames: Iterator[Any], settings: Settings) -> int:
    """Steps of a block: as long as from one checkpoint to the next where writing them takes a fifth of a second."""
    few = 8
    each = seconds(lambda: list(islice(frames, few))) / few
    return math.ceil(2.1 * settings.checkpoint_seconds / each)


def _alone(frames: Iterator[Any], block: int) -> float:
    return seconds(lambda: [None for _ in islice(frames, block)])


def _ratio(house: House, claim: Claim, frames: Iterator[Any], block: int, alone: list[float]) -> float:
    """Against the mean of the blocks before and after: a machine that slows down meanwhile does so for both."""
    accompanied = _accompanied(house, claim, frames, block)
    alone.append(_alone(frames, block))
    return accompanied / mean(alone[-2:])


def _claimed(house: House, scene: Scene, recipe: Recipe) -> Claim:
    house.submit(png(scene.content), png(scene.style), recipe)
    claim = house.services.ledger.claim("bench", house.services.settings.tiers, lease_seconds=600)
    if claim is None:
        raise RuntimeError("The job that was just ordered is not there.")
    return claim


def _accompanied(house: House, claim: Claim, frames: Iterator[Any], block: int) -> float:
    """Seconds of a block as worker/job/run.py goes through it."""
    with (
        Heartbeat(house.services, claim, threading.Event()) as heartbeat,
        Scribe(house.services, claim, resumed=None, note=_NOTE) as scribe,
    ):
        began = time.perf_counter()
        for frame in islice(frames, block):
            heartbeat.note(frame)
            if not heartbeat.control_flags.cancel:
                scribe.offer(frame)
        return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps(_ratios()))  # noqa: T201 - the answer
