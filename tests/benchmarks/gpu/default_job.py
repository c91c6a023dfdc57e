"""The recipe `default` through the whole service: a warm worker's seconds from claim to result."""

from typing import Any, Final

import numpy as np

from benchmarks.engine.scene import Picture, Scene, png
from benchmarks.figure import percentiles
from benchmarks.gpu.report import Row, Rows
from benchmarks.stack import House
from shared.recipe import resolve

_WARM_UP: Final[dict[str, Any]] = {"preset": "fast", "size": 80, "steps": 2, "stages": [{"scale": 1, "share": 1}]}


def default_job(scene: Scene, known: int) -> Rows:
    """One job of a size that is new to the worker, then `known` jobs of the same size with other pictures.

    Each size gets a worker of its own, because a process that has met more sizes than it keeps is replaced.
    """
    with House.opened() as house:
        house.hire()
        _seconds(house, scene, _WARM_UP)
        fields = {"preset": "default", "size": scene.width}
        new, *others = (_seconds(house, scene, fields, mirrored=number % 2 == 1) for number in range(known + 1))
    found = {"new": [new], "known": others}
    return Rows([Row(f"default_{name}_{scene.width}", "s", percentiles(times)) for name, times in found.items()])


def _seconds(house: House, scene: Scene, fields: dict[str, Any], *, mirrored: bool = False) -> float:
    content, style = (png(_mirrored(picture) if mirrored else picture) for picture in (scene.content, scene.style))
    job = house.finished(house.submit(content, style, resolve(fields)))
    if job.started_at is None or job.completed_at is None:
        raise AssertionError("A job that has succeeded was claimed and has ended.")
    return job.completed_at - job.started_at


def _mirrored(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[:, ::-1])
