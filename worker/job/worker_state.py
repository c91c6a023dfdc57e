"""What a worker's child process keeps between jobs: its engine, memory and fingerprint."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from shared.recipe import Recipe
from shared.settings import Settings
from worker.devices.memory import engine_memory
from worker.protocols import Engine, ReportPreparation
from worker.registration import Registration

NO_WEIGHTS: Final[Mapping[str, str]] = {"source": "none", "sha256": ""}
"""Of a run without evaluations."""


class WorkerState:
    """One per child process."""

    def __init__(self, engine: Engine, name: str, registration: Registration, settings: Settings) -> None:
        self.engine, self.name, self.registration = engine, name, registration
        self.fingerprint = _fingerprint(engine.environment())
        on_gpu = bool(engine.environment().get("gpus"))
        self.memory = engine_memory(settings.memory_bytes, settings.memory_share, on_gpu=on_gpu)
        self.has_run_a_job = False
        self.needs_replacement = False  # by a fresh child, which has more memory
        registration.update(
            device=engine.device(),
            weights_seconds=engine.weights_seconds(),
            memory_bytes=self.memory.size,
            memory_kind=self.memory.kind,
        )

    def weights(self, recipe: Recipe, report: ReportPreparation) -> Mapping[str, str]:
        """Return the source and sha256 of the weights for a recipe, and register them. Raises WeightsUnavailable."""
        if not recipe.steps:
            return NO_WEIGHTS
        seconds = self.engine.weights_seconds()

        def report_and_register(activity: str, fraction: float) -> None:
            report(activity, fraction)
            self.registration.update(weights_seconds=(1 - fraction) * seconds)

        weights = self.engine.weights(report_and_register)
        self.registration.update(weights=f"{weights['source']} {weights['sha256'][:8]}", weights_seconds=0)
        return weights

    @contextmanager
    def running(self, job_id: str) -> Iterator[None]:
        """Show the job in this worker's registration while the block runs."""
        self.registration.update(job=job_id)
        try:
            yield
        finally:  # another worker may have learned the weights meanwhile
            self.registration.update(job=None, weights_seconds=self.engine.weights_seconds())


def _fingerprint(environment: Mapping[str, Any]) -> str:
    """Return a short hash of all that the bytes depend on apart from inputs, recipe and weights.

    Two machines with equal fingerprints render equal bytes.
    """
    return hashlib.sha256(repr(sorted(environment.items())).encode()).hexdigest()[:16]
