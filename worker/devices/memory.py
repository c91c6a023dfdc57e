"""The memory that a worker has for its job, and advice for jobs that exceeded it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.jobs.estimate import MemoryKind, fitting_size, peak_memory
from shared.jobs.job import JobRequest
from worker.devices.gpus import first_gpu_memory, tensorflow_supports_gpus

_SAFE_SHARE: Final = 0.6
_LIMITS: Final = {
    "": ("sys/fs/cgroup", "memory.max"),  # version 2, which names no controllers
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),  # version 1
}
"""Controller in /proc/self/cgroup to the mount point of its groups and the name of the limit's file."""


@dataclass(frozen=True)
class WorkerMemory:
    """A worker's memory: it gets no job that is predicted to need more of this kind of memory."""

    kind: MemoryKind
    size: int  # in bytes; 0 if unknown, and then the worker takes any job


def expected_memory(memory_bytes: int = 0, share: float = 1) -> WorkerMemory:
    """Return the memory expected before TensorFlow is imported: the first visible GPU's if usable, else the machine's.

    It is `memory_bytes`, or, if that is 0, `share` of the device's memory.
    """
    return engine_memory(memory_bytes, share, on_gpu=tensorflow_supports_gpus() and first_gpu_memory() > 0)


def engine_memory(memory_bytes: int = 0, share: float = 1, *, on_gpu: bool) -> WorkerMemory:
    """Return the memory once the engine runs, which may use another device than expected."""
    if on_gpu:
        return WorkerMemory("gpu", memory_bytes or int(share * first_gpu_memory()))
    return WorkerMemory("host", memory_bytes or int(share * machine_memory()))


def machine_memory(root: Path = Path("/")) -> int:
    """Return the smallest of the physical memory and this process's cgroup limits, in bytes; 0 if unknown."""
    return min((*_cgroup_limits(root), *_physical()), default=0)


def suggest_size(request: JobRequest, kind: MemoryKind) -> str:
    """Return advice for a job that ran out of memory twice: a size well below the prediction, which was too low."""
    shape = request.recipe, request.width or 1, request.height or 1
    masks = len(request.content_masks)
    predicted = peak_memory(*shape, request.style_pixels, masks=masks, kind=kind)
    size = fitting_size(*shape, int(_SAFE_SHARE * predicted), request.style_pixels, masks=masks, kind=kind)
    return f"It failed twice. At size {size} it should fit." if size else "It failed twice and is already small."


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Yield the limits of this process's group and of all its ancestors, because each of them applies."""
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
    except (ValueError, OSError):  # this system lacks these names
        return


def _text(path: Path) -> str:
    """Return the file's text; empty if there is no such file, as on other systems and for the root group."""
    try:
        return path.read_text()
    except OSError:
        return ""
