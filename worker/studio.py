"""What a worker's child keeps from job to job: its engine, and what it learned of its own speed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shared.estimate import pixel_evaluations
from shared.job import Job
from worker.contract import Engine
from worker.heartbeat import Heartbeat
from worker.presence import Presence
from worker.provenance import fingerprint


class Studio:
    """One per child process."""

    def __init__(self, engine: Engine, name: str, presence: Presence) -> None:
        self.engine, self.name = engine, name
        self.fingerprint = fingerprint(engine.environment())
        self.used = False  # whether it has painted before
        self.spent = False  # whether a fresh child must take over
        self._presence = presence
        presence.show(device=engine.device())

    def weights(self) -> Mapping[str, str]:
        """Their source and sha256, announced. Raises WeightsUnavailable."""
        found = self.engine.weights()
        self._presence.show(weights=f"{found['source']} {found['sha256'][:8]}")
        return found

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
