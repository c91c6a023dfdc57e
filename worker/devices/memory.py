"""How much memory a worker has for its job, and what to do where it was too little."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.jobs.estimate import MemoryKind, fitting_size, peak_memory
from shared.jobs.job import Request
from worker.devices.gpus import first_gpu_memory, tensorflow_supports_gpus

_SAFE_SHARE: Final = 0.6
_LIMITS: Final = {
    "": ("sys/fs/cgroup", "memory.max"),  # version 2 names no controllers
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),  # version 1
}
"""By the controller that a line of /proc/self/cgroup names: where its groups are mounted, and the limit's file."""


@dataclass(frozen=True)
class WorkerMemory:
    """What a worker states: no job that is predicted to need more of this kind of memory is given to it."""

    kind: MemoryKind
    size: int  # in bytes; 0 where unknown, and then it takes any job


def expected_memory(memory_bytes: int = 0, share: float = 1) -> WorkerMemory:
    """Before TensorFlow is imported: of the first visible GPU, if TensorFlow can use one, else of the machine.

    It is `share` of the size that is found, or `memory_bytes` unless that is 0.
    """
    return engine_memory(memory_bytes, share, on_gpu=tensorflow_supports_gpus() and first_gpu_memory() > 0)


def engine_memory(memory_bytes: int = 0, share: float = 1, *, on_gpu: bool) -> WorkerMemory:
    """The same, once the engine runs: it may not run where it was expected, and then the other memory counts."""
    if on_gpu:
        return WorkerMemory("gpu", memory_bytes or int(share * first_gpu_memory()))
    return WorkerMemory("host", memory_bytes or int(share * machine_memory()))


def machine_memory(root: Path = Path("/")) -> int:
    """In bytes: the smallest of the physical memory and the limits of this process's cgroups; 0 where unknown."""
    return min((*_cgroup_limits(root), *_physical()), default=0)


def what_would_fit(request: Request, kind: MemoryKind) -> str:
    """Advice for a job that ran out of memory twice: well below the prediction, which was too low."""
    shape = request.recipe, request.width or 1, request.height or 1
    predicted = peak_memory(*shape, request.style_pixels, kind=kind)
    size = fitting_size(*shape, int(_SAFE_SHARE * predicted), request.style_pixels, kind=kind)
    return f"It failed twice. At size {size} it should fit." if size else "It failed twice, and is small already."


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Of the own group and of all above it, because each of them binds."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        for controller in _LIMITS.keys() & set(controllers.split(",")):
            mount, name = _LIMITS[controller]
            parts = Path(path).parts[1:]
            for depth in range(len(parts) + 1):
                limit = _text(root.joinpath(mount, *parts[:depth], name)).strip()
                if limit.isdecimal():  # "max" is none
                    yield int(limit)


def _physical() -> Iterator[int]:
    try:
        yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # this system does not know these names
        return


def _text(path: Path) -> str:
    """Empty where there is no such file, as on other systems and for the topmost group."""
    try:
        return path.read_text()
    except OSError:
        return ""
