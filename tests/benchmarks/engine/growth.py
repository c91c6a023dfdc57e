"""Memory growth of a real worker, all its processes included, over jobs of many sizes."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from chaos.clients.images import photo

from benchmarks.figure import Figure, figure
from benchmarks.stack import BenchmarkStack
from deploy.local.processes import Process
from shared.presets import resolve
from shared.recipe import Recipe

_JOBS: Final = 100
_GROUP_JOBS: Final = 10
_PAIRS: Final = 3
_MIN_SIZE: Final = 64
_POLL_SECONDS: Final = 0.2
Report = Callable[[str], None]


def resident_growth(report: Report) -> Figure:
    """Return the peak memory of ten late jobs divided by that of ten early jobs; all jobs differ in size.

    A worker replaces its process every seven sizes, and the growth of a process depends on which sizes these are. So
    there are three pairs of groups, seventy jobs apart.
    """
    job_peaks = _job_peaks(report)
    group_peaks = [max(job_peaks[start : start + _GROUP_JOBS]) for start in range(0, _JOBS, _GROUP_JOBS)]
    return figure(late / early for early, late in zip(group_peaks[:_PAIRS], group_peaks[-_PAIRS:], strict=True))


def _job_peaks(report: Report) -> list[int]:
    peaks = []
    with BenchmarkStack.run_temporarily() as stack:
        worker = stack.start_worker()
        for number in range(_JOBS):
            job_id = stack.submit(photo(0), photo(1), _recipe(number))
            peaks.append(max(_readings(stack, job_id, worker)))
            stack.wait_for_end(job_id)
            report(f"{number + 1} jobs: {peaks[-1] / 1e6:.0f} MB")
    return peaks


def _readings(stack: BenchmarkStack, job_id: str, worker: Process) -> Iterator[int]:
    """Yield the worker's memory in bytes while the job runs; after it, the process may have been replaced."""
    while not stack.services.ledger.get(job_id).completed_at:
        stack.check()
        yield resident_bytes(worker.pid or 0)
        time.sleep(_POLL_SECONDS)


def _recipe(number: int) -> Recipe:
    """Return the recipe of this job: 64 to 163 pixels wide, odd sizes too."""
    size = _MIN_SIZE + (37 * number) % 100  # 37 and 100 have no common factor, so each size occurs once
    return resolve({"preset": "fast", "size": size, "steps": 2, "stages": [{"scale": 1, "share": 1}]})


def resident_bytes(pid: int) -> int:
    """Return the memory of a process and its descendants, with a proportional share of shared pages. Linux only."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return 0
    proportional = 1024 * int(next(line.split()[1] for line in rollup if line.startswith("Pss:")))
    return proportional + sum(resident_bytes(int(child)) for child in children)
