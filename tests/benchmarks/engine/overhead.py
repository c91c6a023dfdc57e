"""What it costs a step that its job is kept: checkpoints, previews, progress, the lease; against the engine alone.

`python -m benchmarks.engine.overhead [--quick]` is the process that measures it: a worker's engine sets up TensorFlow
before anything else has used it.
"""

import json
import math
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from benchmarks.engine.scene import Scene, best_weights, png
from benchmarks.figure import Figure, figure, seconds
from benchmarks.house import House
from benchmarks.processes import run_alone
from shared.ledger import Claim
from shared.recipe import Recipe, resolve
from shared.settings import Settings
from worker.heartbeat import Heartbeat
from worker.scribe import Scribe
from worker.vgg19 import Vgg19

_ROUNDS: Final = {False: 6, True: 3}
_NOTE: Final[dict[str, Any]] = {"fingerprint": "", "bitwise": True, "weights": ""}


def checkpoint_overhead(*, quick: bool) -> Figure:
    """Seconds of a step with all of it by seconds without, in turns; L-BFGS with its history full, on one size."""
    return figure(json.loads(run_alone("benchmarks.engine.overhead", *(["--quick"] if quick else []))))


def _ratios(*, quick: bool) -> list[float]:
    scene = Scene(256 if quick else 512, best_weights())
    recipe = resolve({"size": scene.width, "steps": 20_000, "stages": [{"scale": 1, "share": 1}]})
    with House.opened() as house:
        engine = Vgg19(Settings(weights=str(scene.weights.path)))
        frames = engine.stylize(scene.content, [scene.style], recipe, None)
        for _ in islice(frames, recipe.optimizer.history + 2):  # type: ignore[union-attr]  # it is L-BFGS
            pass
        block = _block(frames, house.ports.settings)
        return [_pair(house, scene, recipe, frames, block) for _ in range(_ROUNDS[quick])]


def _block(frames: Iterator[Any], settings: Settings) -> int:
    """So many steps that each block has one checkpoint, and its bytes are on disk before it ends."""
    few = 8
    each = seconds(lambda: list(islice(frames, few))) / few
    return math.ceil(1.2 * settings.checkpoint_seconds / each)


def _pair(house: House, scene: Scene, recipe: Recipe, frames: Iterator[Any], block: int) -> float:
    house.submit(png(scene.content), png(scene.style), recipe)
    claim = house.ports.ledger.claim("bench", house.ports.settings.tiers, lease_seconds=600)
    if claim is None:
        raise RuntimeError("The job that was just ordered is not there.")
    accompanied = _accompanied(house, claim, frames, block)
    return accompanied / seconds(lambda: [None for _ in islice(frames, block)])


def _accompanied(house: House, claim: Claim, frames: Iterator[Any], block: int) -> float:
    """Seconds of a block as worker/task.py goes through it."""
    with (
        Heartbeat(house.ports, claim, threading.Event()) as heartbeat,
        Scribe(house.ports, claim, resumed=None, note=_NOTE) as scribe,
    ):
        began = time.perf_counter()
        for frame in islice(frames, block):
            heartbeat.note(frame)
            if not heartbeat.wishes.cancel:
                scribe.offer(frame)
        return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps(_ratios(quick="--quick" in sys.argv)))  # noqa: T201 - the answer
