"""Admission control: whether a job fits into the memory of a live worker, and at which size it would."""

from dataclasses import dataclass

from shared.errors import DoesNotFit
from shared.jobs.estimate import MemoryKind, fitting_size
from shared.jobs.job import JobRequest
from shared.ledger.queue_stats import WorkerInfo


@dataclass(frozen=True)
class Admission:
    """The memory that a job needs and that the best worker has."""

    fits: bool  # True as well if the workers' memory is unknown
    kind: MemoryKind  # of the best worker: one that fits the job, else the one that fits the largest size
    peak: int  # predicted bytes of that memory
    available: int  # bytes of it; 0 if unknown
    fitting_size: int | None = None  # the largest recipe size that fits; None if the job fits, or none does

    def check(self) -> None:
        """Raise DoesNotFit unless the job fits."""
        if self.fits:
            return
        memory = "GPU memory" if self.kind == "gpu" else "memory"
        advice = f"It fits at size {self.fitting_size}." if self.fitting_size else "It does not fit at any size."
        raise DoesNotFit(
            f"This job needs about {_gib(self.peak)} of {memory}; the largest worker has {_gib(self.available)}. "
            f"{advice}",
            memory_kind=self.kind,
            peak_memory_bytes=self.peak,
            available_memory_bytes=self.available,
            fitting_size=self.fitting_size,
        )


def admit(request: JobRequest, workers: list[WorkerInfo]) -> Admission:
    """Return the admission of a request with predicted peaks. It fits if one worker of its tier has the memory."""
    sizes_of_kind: dict[MemoryKind, list[int]] = {}
    for worker in workers:
        if request.tier in worker.tiers:
            sizes_of_kind.setdefault(worker.memory_kind, []).append(worker.memory_bytes)
    admissions = [_admit(request, kind, max(sizes) if all(sizes) else 0) for kind, sizes in sizes_of_kind.items()]
    best = max(
        admissions,
        key=lambda admission: (admission.fits, admission.fitting_size or 0, admission.available),
        default=None,
    )
    return best or _admit(request, "host", 0)


def _admit(request: JobRequest, kind: MemoryKind, available: int) -> Admission:
    peak = request.peak_gpu_memory_bytes if kind == "gpu" else request.peak_memory_bytes
    if not available or peak <= available:  # 0: a worker does not state its memory
        return Admission(fits=True, kind=kind, peak=peak, available=available)
    shape = request.recipe, request.width, request.height, available, request.style_pixels
    size = fitting_size(*shape, masks=len(request.content_masks), kind=kind)
    return Admission(fits=False, kind=kind, peak=peak, available=available, fitting_size=size)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
