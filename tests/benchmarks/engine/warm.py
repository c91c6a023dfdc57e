"""From a job's submission to the news of its first step, the worker being warm: what is not the engine's own work."""

import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from api.client import Easel
from benchmarks.engine.scene import Scene, best_weights, png
from benchmarks.engine.timed import Note
from benchmarks.figure import Figure, figure
from benchmarks.house import House

_WIDTH: Final = 256
_RECIPE: Final[dict[str, Any]] = {"size": _WIDTH, "steps": 2, "stages": [{"scale": 1, "share": 1}]}
_ROUNDS: Final = {False: 20, True: 8}


class Warm(NamedTuple):
    """What was found."""

    seconds: Figure  # beyond the engine's passes
    style_passes: int  # over a style, in all jobs but the first


def warm_start(*, quick: bool) -> Warm:
    """Jobs of one shape and one style, through the whole stack, one after another."""
    with House.opened() as house:
        notes = house.plan.data / "notes"
        house.hire("benchmarks.engine.timed", str(notes))
        waited = list(_jobs(Easel(house.url), _ROUNDS[quick] + 1))
        found = [Note.model_validate_json(line) for line in notes.read_text().splitlines()]
    beyond = [seconds - note.first_seconds for seconds, note in zip(waited, found, strict=True)]
    return Warm(figure(beyond[1:]), found[-1].styles_made - found[0].styles_made)


def _jobs(easel: Easel, number: int) -> Iterator[float]:
    """Seconds until the news of each one's first step; its end is waited for."""
    scene = Scene(_WIDTH, best_weights())
    content, style = png(scene.content), png(scene.style)
    for _ in range(number):
        began = time.perf_counter()
        job = easel.submit(content, style, _RECIPE)
        for event in job.events():
            if event.kind == "progress":
                yield time.perf_counter() - began
                break
        job.wait()
