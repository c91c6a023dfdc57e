"""`python -m benchmarks.engine.timed_worker FILE`: a worker whose engine appends the timing of each job to FILE."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from shared.recipe import Recipe
from shared.settings import Settings
from worker.celery_app import start
from worker.protocols import Engine


class JobTiming(BaseModel):
    """The timing of one job, written as one line."""

    first_seconds: float  # until the engine's first iterate
    styles_evaluated: int  # by this process so far
    evaluations_traced: int  # by this process so far


def create_engine(settings: Settings) -> Engine:
    """Return an engine that writes timings. Called in the child process only."""
    from worker.tensorflow_engine import TensorFlowEngine  # noqa: PLC0415 - TensorFlow comes with it

    class TimedEngine(TensorFlowEngine):
        def stylize(
            self,
            content: np.ndarray,
            styles: Sequence[np.ndarray],
            recipe: Recipe,
            state: Mapping[str, Any] | None,
            **images: Any,
        ) -> Iterator[Any]:
            began = time.perf_counter()
            iterates = super().stylize(content, styles, recipe, state, **images)
            first = next(iterates)
            self._write(time.perf_counter() - began)
            yield first
            yield from iterates

        def _write(self, seconds: float) -> None:
            timing = JobTiming(
                first_seconds=seconds,
                styles_evaluated=self._cache.styles.created,
                evaluations_traced=self._cache.evaluations.created,
            )
            with Path(sys.argv[1]).open("a") as file:
                file.write(timing.model_dump_json() + "\n")

    return TimedEngine(settings)


if __name__ == "__main__":
    start(Settings(), "timed@bench", create_engine)
