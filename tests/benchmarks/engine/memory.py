"""Peak memory of two steps at 1024x768: the engine's process compared with that of the tutorial's loop."""

from pathlib import Path
from typing import Final

from benchmarks.engine.workload import Workload
from benchmarks.figure import Figure, NotAvailable, figure
from benchmarks.processes import peer_process

_STEPS: Final = 2


def peak_memory_vs_tutorial(workload: Workload, rounds: int) -> Figure:
    """Return the engine's peak divided by the tutorial's. Raises NotAvailable on systems other than Linux."""
    return figure(_peak(workload.engine_command()) / _peak(workload.tutorial_command()) for _ in range(rounds))


def peak_resident_bytes(process: int | str = "self") -> int:
    """Return the peak memory of a process. Raises NotAvailable on systems other than Linux."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        raise NotAvailable("only Linux reports the peak memory of a process")
    return next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:"))


def _peak(command: tuple[str, ...]) -> int:
    with peer_process(*command) as step:
        for _ in range(_STEPS):
            step()
        return peak_resident_bytes(step.pid)
