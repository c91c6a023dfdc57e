"""Jobs of the preset `default` through the whole service: seconds from claim to result on a warm worker."""

from typing import Any, Final

import numpy as np

from benchmarks.engine.workload import ImageArray, Workload, png
from benchmarks.figure import percentiles
from benchmarks.gpu.report import Row, Rows
from benchmarks.stack import BenchmarkStack
from shared.presets import resolve

_WARM_UP: Final[dict[str, Any]] = {"preset": "fast", "size": 80, "steps": 2, "stages": [{"scale": 1, "share": 1}]}


def default_job(workload: Workload, known: int) -> Rows:
    """Measure one job of a size that is new to the worker, then `known` jobs of the same size with other images.

    Each size gets its own worker, because a process is replaced once it has traced more sizes than it caches.
    """
    with BenchmarkStack.run_temporarily() as stack:
        stack.start_worker()
        _seconds(stack, workload, _WARM_UP)
        fields = {"preset": "default", "size": workload.width}
        new, *others = (_seconds(stack, workload, fields, mirrored=number % 2 == 1) for number in range(known + 1))
    times = {"new": [new], "known": others}
    return Rows([Row(f"default_{name}_{workload.width}", "s", percentiles(each)) for name, each in times.items()])


def _seconds(stack: BenchmarkStack, workload: Workload, fields: dict[str, Any], *, mirrored: bool = False) -> float:
    images = workload.content, workload.style
    content, style = (png(_mirror(image) if mirrored else image) for image in images)
    job = stack.wait_for_end(stack.submit(content, style, resolve(fields)))
    if job.started_at is None or job.completed_at is None:
        raise AssertionError("The job has succeeded but lacks its times.")
    return job.completed_at - job.started_at


def _mirror(image: ImageArray) -> ImageArray:
    return np.ascontiguousarray(image[:, ::-1])
