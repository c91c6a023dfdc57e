"""Whether a worker grows with the sizes that it has met: a real one, and what all its processes hold."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from chaos.pictures import photo

from benchmarks.figure import Figure, figure
from benchmarks.stack import House
from deploy.local.processes import Process
from shared.recipe import Recipe, resolve

_JOBS: Final = 100
_TOGETHER: Final = 10
_PAIRS: Final = 3
_SMALLEST: Final = 64
_LOOK_SECONDS: Final = 0.2
Tell = Callable[[str], None]


def resident_growth(tell: Tell) -> Figure:
    """The most bytes in any of ten jobs at the end by the most in any of ten at the beginning; all differ in size.

    A worker starts a fresh process every seven sizes, and how far one grows depends on which: so there are three pairs
    of such tens, seventy jobs apart.
    """
    held = _held(tell)
    most = [max(held[start : start + _TOGETHER]) for start in range(0, _JOBS, _TOGETHER)]
    return figure(late / early for early, late in zip(most[:_PAIRS], most[-_PAIRS:], strict=True))


def _held(tell: Tell) -> list[int]:
    held = []
    with House.opened() as house:
        worker = house.hire()
        for number in range(_JOBS):
            job_id = house.submit(photo(0), photo(1), _recipe(number))
            held.append(max(_readings(house, job_id, worker)))
            house.finished(job_id)
            tell(f"{number + 1} jobs: {held[-1] / 1e6:.0f} MB")
    return held


def _readings(house: House, job_id: str, worker: Process) -> Iterator[int]:
    """Bytes, again and again while the job runs; afterwards the process may be gone."""
    while not house.services.ledger.get(job_id).completed_at:
        house.check()
        yield resident_bytes(worker.pid or 0)
        time.sleep(_LOOK_SECONDS)


def _recipe(number: int) -> Recipe:
    """The job of this number: 64 to 163 pixels wide, odd ones too."""
    size = _SMALLEST + (37 * number) % 100  # 37 and 100 have no common factor: each comes once
    return resolve({"preset": "fast", "size": size, "steps": 2, "stages": [{"scale": 1, "share": 1}]})


def resident_bytes(pid: int) -> int:
    """Of a process and all below it, each page of its own and its share of those in common. Linux only."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return 0
    own = 1024 * int(next(line.split()[1] for line in rollup if line.startswith("Pss:")))
    return own + sum(resident_bytes(int(child)) for child in below)
