"""What it costs a step that its job is kept: checkpoints, previews, progress, the lease; against the engine alone.

`python -m benchmarks.engine.overhead` is the process that measures it: a worker's engine sets up TensorFlow before
anything else has used it.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from benchmarks.engine.scene import Scene, best_weights, png
from benchmarks.figure import Figure, figure, seconds
from benchmarks.house import House
from benchmarks.processes import run_alone
from shared.ledger import Claim
from shared.ports import Ports
from shared.recipe import Recipe, resolve
from shared.settings import Settings
from worker.heartbeat import Heartbeat
from worker.scribe import Scribe
from worker.vgg19 import Vgg19

_READINGS: Final = 8
_TURN: Final = 3  # steps
_NOTE: Final[dict[str, Any]] = {"fingerprint": "", "bitwise": True, "weights": ""}


def checkpoint_overhead() -> Figure:
    """Seconds of a step with all of it by seconds without; L-BFGS with its history full, on one size."""
    return figure(json.loads(run_alone("benchmarks.engine.overhead")))


def _ratios() -> list[float]:
    scene = Scene(512, best_weights())
    recipe = resolve({"size": scene.width, "steps": 20_000, "stages": [{"scale": 1, "share": 1}]})
    with House.opened() as house:
        engine = Vgg19(Settings(weights=str(scene.weights.path)))
        frames = engine.stylize(scene.content, [scene.style], recipe, None)
        for _ in islice(frames, recipe.optimizer.history + 2):  # type: ignore[union-attr]  # it is L-BFGS
            pass
        claim, ports = _claimed(house, scene, recipe), _seldom(house.ports)
        with (
            Heartbeat(ports, claim, threading.Event()) as heartbeat,
            Scribe(ports, claim, resumed=None, note=_NOTE) as scribe,
        ):
            return [_reading(frames, heartbeat, scribe, ports.settings.checkpoint_seconds) for _ in range(_READINGS)]


def _seldom(ports: Ports) -> Ports:
    """Half the time the engine is alone: so what is due by the clock is due half as often."""
    told = ports.settings
    twice = {"checkpoint_seconds": 2 * told.checkpoint_seconds, "preview_seconds": 2 * told.preview_seconds}
    return replace(ports, settings=told.model_copy(update=twice))


def _reading(frames: Iterator[Any], heartbeat: Heartbeat, scribe: Scribe, seconds_at_least: float) -> float:
    """Turns of few steps, that both may suffer alike from a machine that slows down; a checkpoint at least is due."""
    alone = accompanied = 0.0
    while alone + accompanied < 1.05 * seconds_at_least:
        alone += seconds(lambda: [None for _ in islice(frames, _TURN)])
        accompanied += seconds(lambda: _accompany(islice(frames, _TURN), heartbeat, scribe))
    return accompanied / alone


def _accompany(frames: Iterator[Any], heartbeat: Heartbeat, scribe: Scribe) -> None:
    """As worker/task.py does; and what was begun in the background ends within the turn."""
    for frame in frames:
        heartbeat.note(frame)
        if not heartbeat.wishes.cancel:
            scribe.offer(frame)
    scribe._orders.join()


def _claimed(house: House, scene: Scene, recipe: Recipe) -> Claim:
    house.submit(png(scene.content), png(scene.style), recipe)
    claim = house.ports.ledger.claim("bench", house.ports.settings.tiers, lease_seconds=600)
    if claim is None:
        raise RuntimeError("The job that was just ordered is not there.")
    return claim


if __name__ == "__main__":
    print(json.dumps(_ratios()))  # noqa: T201 - the answer
