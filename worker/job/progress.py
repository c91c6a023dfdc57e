"""How far and how fast the loop of one claim has come: the record's progress fields, and timing for later estimates."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from easel.models import Progress
from shared.jobs.estimate import algorithm, pixel_evaluations
from shared.jobs.job import Job
from shared.jobs.run_history import RunRecord
from worker.protocols import Iterate

_WHOLE_RUN: Final = 0.9  # of the arithmetic


@dataclass
class _Rate:
    """An amount of work, and the seconds that it took."""

    amount: float = 0.0
    seconds: float = 0.0

    def add(self, amount: float, seconds: float) -> None:
        self.amount += amount
        self.seconds += seconds

    def per_second(self) -> float | None:
        return float(f"{self.amount / self.seconds:.3g}") if self.seconds > 0 else None


class ProgressTracker:
    """Measures the loop. Only the loop calls it; another thread reads `fields`.

    The first step of a phase may include a trace, which takes many times a step, so it is in no speed.
    """

    def __init__(self, job: Job) -> None:
        self._job, self._claimed_at = job, time.monotonic()
        self.fields: dict[str, Any] = {"progress": job.progress.model_copy(update={"phase": "preparing"})}
        """The fields of the job's record that change from step to step."""
        self.step_seconds = 0.0  # of the last step
        self._last: Iterate | None = None
        self._weights_seconds = self._start_seconds = 0.0
        self._stopped_at = self._claimed_at
        self._phase = _Rate()  # steps of the current phase: the speed that people see
        self._first_steps = _Rate()  # of all phases but the first of this claim, in fractions of the job's arithmetic
        self._other_steps = _Rate()  # the same
        self._halves = _Rate(), _Rate()  # the same of these in each half of the job

    @property
    def seconds(self) -> float:
        """Seconds since the claim."""
        return time.monotonic() - self._claimed_at

    def set_phase(self, phase: str) -> None:
        """Set what the phase before the first step is called."""
        self.fields = {"progress": self._job.progress.model_copy(update={"phase": phase})}

    @contextmanager
    def loading_weights(self) -> Iterator[None]:
        """Leave the time of the block out of the start's: learning filters happens once on a machine."""
        started = time.monotonic()
        yield
        self._weights_seconds = time.monotonic() - started
        self.set_phase("preparing")

    def add(self, iterate: Iterate, seconds: float) -> None:
        """Record a step that the engine did in that time."""
        last, self._last, self.step_seconds = self._last, iterate, seconds
        self._stopped_at = time.monotonic()
        if last is None:
            self._start_seconds = self.seconds - self._weights_seconds
        elif iterate.phase != last.phase:
            self._phase = _Rate()
            self._first_steps.add(iterate.fraction - last.fraction, seconds)
        else:
            self._phase.add(iterate.step - last.step, seconds)
            for rate in (self._other_steps, self._halves[last.fraction >= 1 / 2]):
                rate.add(iterate.fraction - last.fraction, seconds)
        percentage, total = round(100 * iterate.fraction, 2), self._job.request.recipe.total_steps
        self.fields = {
            "progress": Progress(phase=iterate.phase, current=iterate.step, total=total, percentage=percentage),
            **({"losses": iterate.losses} if iterate.losses else {}),  # patch matching has none
            "step_backoffs": iterate.step_backoffs,
            "steps_per_second": self._phase.per_second(),
            "fraction_per_second": self._other_steps.per_second(),
        }

    def stop(self) -> None:
        """Record that the loop has stopped: the end of the job begins."""
        self._stopped_at = time.monotonic()

    def record_fields(self, **changes: Any) -> dict[str, Any]:
        """Return the fields of the job's record that change while it runs, with `changes` of the progress."""
        run_seconds = round(self._job.run_seconds + self.seconds, 3)
        return {
            **self.fields,
            "progress": self.fields["progress"].model_copy(update=changes),
            "run_seconds": run_seconds,
        }

    def run_record(self, device: str) -> RunRecord | None:
        """Return the timing up to now; None before the second iterate."""
        recipe, speed = self._job.request.recipe, self._other_steps.per_second()
        if self._last is None or not speed:
            return None
        tracing = max(0.0, self._first_steps.seconds - self._first_steps.amount / speed)  # beyond the steps' time
        seen_whole = self._other_steps.amount + self._first_steps.amount >= _WHOLE_RUN
        before, after = (half.per_second() for half in self._halves)
        height, width, _ = self._last.image.shape
        evaluations = pixel_evaluations(recipe, width, height)
        return RunRecord(
            device=device,
            algorithm=algorithm(recipe),
            pixels=evaluations / recipe.total_steps,
            pixels_per_second=speed * evaluations,
            start_seconds=self._start_seconds + tracing,
            end_seconds=time.monotonic() - self._stopped_at,
            fraction=self._last.fraction,
            drift=math.log(after / before) if seen_whole and before and after else None,
        )
