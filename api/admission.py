"""Whether a job fits into the memory of the workers that live now, and at which size it would."""

from dataclasses import dataclass

from shared.errors import DoesNotFit
from shared.jobs.estimate import MemoryKind, fitting_size
from shared.jobs.job import Request
from shared.ledger.queue_stats import WorkerInfo


@dataclass(frozen=True)
class Admission:
    """What a job needs, and what there is for it."""

    fits: bool  # into a worker's memory, as far as that is known
    kind: MemoryKind  # which memory decides: that of the worker which holds it, or comes nearest to holding it
    peak: int  # bytes of it, as predicted
    available: int  # bytes of it; 0 where unknown
    fitting_size: int | None = None  # the largest at which it would fit; None where it fits as it is, or at no size

    def check(self) -> None:
        """Raises DoesNotFit."""
        if self.fits:
            return
        memory = "GPU memory" if self.kind == "gpu" else "memory"
        needs = f"This job would need about {_gib(self.peak)} of {memory}"
        advice = f"At size {self.fitting_size} it would fit." if self.fitting_size else "It would fit at no size."
        raise DoesNotFit(
            f"{needs}; the largest worker has {_gib(self.available)}. {advice}",
            memory_kind=self.kind,
            peak_memory_bytes=self.peak,
            available_memory_bytes=self.available,
            fitting_size=self.fitting_size,
        )


def admission(request: Request, workers: list[WorkerInfo]) -> Admission:
    """Of a request with predicted peaks: it fits if one worker of its tier has the memory, on a GPU or without."""
    stated: dict[MemoryKind, list[int]] = {}
    for worker in workers:
        if request.tier in worker.tiers:
            stated.setdefault(worker.memory_kind, []).append(worker.memory_bytes)
    found = [_into(request, kind, max(sizes) if all(sizes) else 0) for kind, sizes in stated.items()]
    nearest = max(found, key=lambda one: (one.fits, one.fitting_size or 0, one.available), default=None)
    return nearest or _into(request, "host", 0)


def _into(request: Request, kind: MemoryKind, available: int) -> Admission:
    """Whether it fits into so much memory of this kind; 0 where a worker does not say how much it has."""
    peak = request.peak_gpu_memory_bytes if kind == "gpu" else request.peak_memory_bytes
    if not available or peak <= available:
        return Admission(fits=True, kind=kind, peak=peak, available=available)
    shape = request.recipe, request.width, request.height, available, request.style_pixels
    size = fitting_size(*shape, kind=kind)
    return Admission(fits=False, kind=kind, peak=peak, available=available, fitting_size=size)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
