"""What a worker's child process keeps between jobs: its engine, memory and fingerprint."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from shared.jobs.estimate import algorithm, pixel_evaluations
from shared.jobs.run_history import RunRecord
from shared.recipe import Recipe
from shared.settings import Settings
from worker.devices.memory import engine_memory
from worker.job.progress import JobTiming
from worker.job.session import JobSession
from worker.protocols import Engine, ReportPreparation
from worker.registration import Registration

NO_WEIGHTS: Final[Mapping[str, str]] = {"source": "none", "sha256": ""}
"""Of a run without evaluations."""


class WorkerState:
    """One per child process."""

    def __init__(self, engine: Engine, name: str, registration: Registration, settings: Settings) -> None:
        self.engine, self.name = engine, name
        self.fingerprint = _fingerprint(engine.environment())
        on_gpu = bool(engine.environment().get("gpus"))
        self.memory = engine_memory(settings.memory_bytes, settings.memory_share, on_gpu=on_gpu)
        self.has_run_a_job = False
        self.needs_replacement = False  # by a fresh child, which has more memory
        self._registration = registration
        self._weights_seconds = engine.weights_seconds()
        registration.update(
            device=engine.device(),
            weights_seconds=self._weights_seconds,
            memory_bytes=self.memory.size,
            memory_kind=self.memory.kind,
        )

    def weights(self, recipe: Recipe, report: ReportPreparation) -> Mapping[str, str]:
        """Return the source and sha256 of the weights for a recipe, and register them. Raises WeightsUnavailable."""
        if not recipe.steps:
            return NO_WEIGHTS

        def report_and_register(activity: str, fraction: float) -> None:
            report(activity, fraction)
            self._registration.update(weights_seconds=(1 - fraction) * self._weights_seconds)

        weights = self.engine.weights(report_and_register)
        self._registration.update(weights=f"{weights['source']} {weights['sha256'][:8]}", weights_seconds=0)
        return weights

    @contextmanager
    def running(self, job_id: str) -> Iterator[None]:
        """Show the job in this worker's registration while the block runs."""
        self._registration.update(job=job_id)
        try:
            yield
        finally:
            self._weights_seconds = self.engine.weights_seconds()  # another worker may have learned them meanwhile
            self._registration.update(job=None, weights_seconds=self._weights_seconds)

    def record_run(self, session: JobSession, timing: JobTiming, *, shape: tuple[int, ...]) -> None:
        """Add a job that has ended, with a result of `shape` (H, W, 3), to the history that estimates are based on."""
        recipe, (height, width, _) = session.job.request.recipe, shape
        evaluations = pixel_evaluations(recipe, width, height)
        speed = timing.fraction_per_second * evaluations
        self._registration.update(pixels_per_second=speed)
        record = RunRecord(
            device=self.engine.device(),
            algorithm=algorithm(recipe),
            pixels=evaluations / recipe.total_steps,
            pixels_per_second=speed,
            start_seconds=timing.start_seconds,
            end_seconds=timing.end_seconds,
            fraction=timing.fraction,
            drift=timing.drift,
        )
        session.record_run(record)


def _fingerprint(environment: Mapping[str, Any]) -> str:
    """Return a short hash of all that the bytes depend on apart from inputs, recipe and weights.

    Two machines with equal fingerprints render equal bytes.
    """
    return hashlib.sha256(repr(sorted(environment.items())).encode()).hexdigest()[:16]
