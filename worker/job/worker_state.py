"""What a worker's child keeps from job to job: its engine, and what it learned of its own speed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from shared.errors import Unavailable
from shared.jobs.estimate import pixel_evaluations
from shared.jobs.job import Job
from shared.jobs.run_history import RunHistory, Trial
from shared.settings import Settings
from worker.devices.memory import engine_memory
from worker.job.heartbeat import Times
from worker.job.provenance import fingerprint
from worker.protocols import Engine
from worker.registration import Presence


class Studio:
    """One per child process."""

    def __init__(self, engine: Engine, name: str, presence: Presence, settings: Settings) -> None:
        self.engine, self.name = engine, name
        self.fingerprint = fingerprint(engine.environment())
        on_gpu = bool(engine.environment().get("gpus"))
        self.memory = engine_memory(settings.memory_bytes, settings.memory_share, on_gpu=on_gpu)
        self.used = False  # whether it has painted before
        self.spent = False  # whether a fresh child must take over
        self._presence = presence
        presence.show(device=engine.device(), memory_bytes=self.memory.size, memory_kind=self.memory.kind)

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

    def learn(self, run_history: RunHistory, job: Job, times: Times, *, shape: tuple[int, ...]) -> None:
        """Tell this machine's speed from a job that has ended, (H, W, 3): the base of every later estimate."""
        recipe, (height, width, _) = job.request.recipe, shape
        work = pixel_evaluations(recipe, width, height)
        speed = times.pace * work
        self._presence.show(pixels_per_second=speed)
        trial = Trial(
            device=self.engine.device(),
            optimizer=recipe.optimizer.kind,
            pixels=work / recipe.steps,
            pixels_per_second=speed,
            start=times.start,
            ending=times.ending,
            fraction=times.fraction,
            drift=times.drift,
        )
        with suppress(Unavailable):  # one more or less
            run_history.remember(trial)
