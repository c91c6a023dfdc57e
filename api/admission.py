"""Whether a job fits into the memory of the workers that live now, and at which size it would."""

from dataclasses import dataclass

from shared.errors import DoesNotFit
from shared.estimate import fitting_size
from shared.job import Request
from shared.overview import WorkerInfo


@dataclass(frozen=True)
class Admission:
    """What a job needs, and what there is for it."""

    peak: int  # bytes, as predicted
    available: int  # bytes of the largest worker of its tier; 0 where nobody can know
    fitting_size: int | None  # the largest at which it would fit; None where it fits as it is, or at no size

    @property
    def fits(self) -> bool:
        """Whether a worker can hold it, as far as anybody knows."""
        return not self.available or self.peak <= self.available

    def check(self) -> None:
        """Raises DoesNotFit."""
        if self.fits:
            return
        told = f"This job would need about {_gib(self.peak)}; the largest worker has {_gib(self.available)}."
        advice = f"At size {self.fitting_size} it would fit." if self.fitting_size else "It would fit at no size."
        raise DoesNotFit(
            f"{told} {advice}",
            peak_memory_bytes=self.peak,
            available_memory_bytes=self.available,
            fitting_size=self.fitting_size,
        )


def admission(request: Request, workers: list[WorkerInfo]) -> Admission:
    """Of a request with a predicted peak."""
    available = _largest(workers, request.tier)
    found = Admission(request.peak_memory_bytes, available, None)
    if found.fits:
        return found
    size = fitting_size(request.recipe, request.width, request.height, available, request.style_pixels)
    return Admission(request.peak_memory_bytes, available, size)


def _largest(workers: list[WorkerInfo], tier: str) -> int:
    """0 where no worker lives, or one does not say how much it has."""
    stated = [worker.memory_bytes for worker in workers if tier in worker.tiers]
    return max(stated, default=0) if all(stated) else 0


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
