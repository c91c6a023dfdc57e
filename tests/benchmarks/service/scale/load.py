"""Keeps the queue full of jobs for simulated workers, and measures how fast they are claimed."""

import itertools
import threading
import time
from statistics import mean
from typing import Any, Final, Self

from chaos.clients.images import photo

from benchmarks.service.scale.stack import ScaleStack
from benchmarks.service.scaling import round_times
from benchmarks.stack import store_image, submit_job
from shared.errors import EaselError
from shared.presets import resolve

TIER: Final = "standard"
_PAUSE_SECONDS: Final = 0.1
_STUCK_SECONDS: Final = 60.0


class Load:
    """`with Load(stack, steps) as load:` submits jobs until the end of the block."""

    def __init__(self, stack: ScaleStack, steps: int) -> None:
        self.stack, self.steps = stack, steps
        self.job_ids: list[str] = []  # in the order of the queue
        self._images = (store_image(stack.services, photo(0)), store_image(stack.services, photo(1)))
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def submit(self, tier: str, recipe: dict[str, Any]) -> str:
        """Queue one job."""
        return submit_job(self.stack.services, tier, self._images, resolve(recipe))

    def seconds_per_round(self, workers: int) -> float:
        """Return the mean time from a claim to the one that is a job per worker later, after a round to settle."""
        first = self._claimed()
        self.wait_for_claim(first + 2 * workers - 1)
        jobs = self.stack.services.ledger.get_many(self.job_ids[first : first + 2 * workers])
        claims = sorted(job.started_at for job in jobs if job.started_at is not None)
        return mean(round_times(claims, workers))

    def wait_for_claim(self, number: int) -> None:
        """Wait until the `number`-th job has been claimed, as long as others are. Raises RuntimeError."""
        last, deadline = -1, 0.0
        while (claimed := self._claimed()) <= number:
            if claimed > last:
                last, deadline = claimed, time.monotonic() + _STUCK_SECONDS
            if self._error or time.monotonic() > deadline:
                raise RuntimeError("No more jobs are submitted or claimed.") from self._error
            time.sleep(_PAUSE_SECONDS)

    def _claimed(self) -> int:
        return len(self.job_ids) - self.stack.services.queue_stats.depth(TIER)

    def _run(self) -> None:
        try:
            for number in itertools.count():
                while self.stack.services.queue_stats.depth(TIER) > len(self.stack.running) + 2:
                    if self._stopped.wait(_PAUSE_SECONDS):
                        return
                if self._stopped.is_set():
                    return
                recipe = {"preset": "fast", "init": "content", "size": 64, "steps": self.steps, "seed": number}
                self.job_ids.append(self.submit(TIER, recipe))
        except (EaselError, OSError) as error:
            self._error = error
