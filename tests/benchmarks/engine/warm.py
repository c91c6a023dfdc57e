"""From a job's submission to the news of its first step, the worker being warm: what is not the engine's own work."""

import time
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.engine.scene import Scene, best_weights, png
from benchmarks.engine.timed import Note
from benchmarks.figure import Figure, figure
from benchmarks.stack import House
from easel import Easel

_WIDTH: Final = 256
_RECIPE: Final[dict[str, Any]] = {"size": _WIDTH, "steps": 2, "stages": [{"scale": 1, "share": 1}]}
_ROUNDS: Final = {False: 20, True: 8}


def warm_start(*, quick: bool) -> Figure:
    """Seconds of jobs of one shape and one style, one after another, through the whole stack.

    Raises AssertionError where a later job traced a step or looked at the style again.
    """
    with House.opened() as house:
        notes = house.plan.data / "notes"
        house.hire("benchmarks.engine.timed", str(notes))
        waited = list(_jobs(Easel(house.url), _ROUNDS[quick] + 1))
        found = [Note.model_validate_json(line) for line in notes.read_text().splitlines()]
    first, last = found[0], found[-1]
    if (first.styles_made, first.steps_made) != (last.styles_made, last.steps_made):
        raise AssertionError(f"The worker did not stay warm: {first}, then {last}.")
    beyond = [seconds - note.first_seconds for seconds, note in zip(waited, found, strict=True)]
    return figure(beyond[1:])


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
