"""How much memory there is, and what to do where it was too little."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shared.estimate import fitting_size, peak_memory
from shared.job import Request

_SAFE_SHARE: Final = 0.6
_LIMITS: Final = {
    "": ("sys/fs/cgroup", "memory.max"),  # version 2 names no controllers
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),  # version 1
}
"""By the controller that a line of /proc/self/cgroup names: where its groups are mounted, and the limit's file."""


def machine_memory(root: Path = Path("/")) -> int:
    """What a worker states where EASEL_MEMORY_BYTES leaves it to find out.

    In bytes: the smallest of the physical memory and the limits of this process's cgroups; 0 where nobody can say.
    """
    return min((*_cgroup_limits(root), *_physical()), default=0)


def what_would_fit(request: Request) -> str:
    """Advice for a job that ran out of memory twice: well below the prediction, which was too low."""
    shape = request.recipe, request.width or 1, request.height or 1
    predicted = peak_memory(*shape, request.style_pixels)
    size = fitting_size(*shape, int(_SAFE_SHARE * predicted), request.style_pixels)
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
