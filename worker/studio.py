"""What a worker's child keeps from job to job: the network's weights and what it learned of its own speed."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from shared.estimate import pixel_evaluations
from shared.job import Job
from shared.settings import Settings
from worker.device import configure_tensorflow
from worker.engine.weights import Weights, resolve_weights
from worker.heartbeat import Heartbeat
from worker.presence import Presence
from worker.provenance import device

log = structlog.get_logger(__name__)


class Studio:
    """One per child process."""

    def __init__(self, settings: Settings, name: str, presence: Presence) -> None:
        self.name = name
        self._settings, self._presence = settings, presence
        self._weights: Weights | None = None
        configure_tensorflow(settings.threads)
        presence.show(device=device())

    def weights(self) -> Weights:
        """The VGG19 weights, found or learned once. Raises WeightsUnavailable."""
        if self._weights is None:
            self._weights = resolve_weights(self._settings.weights, cache=self._settings.cache)
            log.info("weights", which=self._weights.describe())
            self._presence.show(weights=f"{self._weights.source} {self._weights.sha256[:8]}")
        return self._weights

    def about_weights(self) -> dict[str, str]:
        """For the provenance: source and sha256."""
        weights = self.weights()
        return {"source": weights.source, "sha256": weights.sha256}

    @contextmanager
    def busy_with(self, job_id: str) -> Iterator[None]:
        """Show on the board what is being painted."""
        self._presence.show(job=job_id)
        try:
            yield
        finally:
            self._presence.show(job=None)

    def measured(self, job: Job, heartbeat: Heartbeat, *, height: int, width: int) -> None:
        """Learn this machine's speed from a job: the base of every later estimate."""
        if heartbeat.fraction_per_second:
            work = pixel_evaluations(job.request.recipe, width, height)
            self._presence.show(pixels_per_second=heartbeat.fraction_per_second * work)
