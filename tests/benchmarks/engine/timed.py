"""`python -m benchmarks.engine.timed FILE`: the product's worker, whose engine takes notes of itself in FILE."""

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


class Note(BaseModel):
    """Of one job, written as one line."""

    first_seconds: float  # the engine took to its first frame: all passes up to it
    styles_made: int  # passes over styles, by this process
    steps_made: int  # steps traced, by this process


def timed(settings: Settings) -> Engine:
    """Called in the child only."""
    from worker.tensorflow_engine import Vgg19  # noqa: PLC0415 - TensorFlow comes with it

    class Timed(Vgg19):
        def stylize(
            self, content: np.ndarray, styles: Sequence[np.ndarray], recipe: Recipe, state: Mapping[str, Any] | None
        ) -> Iterator[Any]:
            began = time.perf_counter()
            frames = super().stylize(content, styles, recipe, state)
            first = next(frames)
            self._write(time.perf_counter() - began)
            yield first
            yield from frames

        def _write(self, seconds: float) -> None:
            cache = self._cache
            note = Note(first_seconds=seconds, styles_made=cache.styles.made, steps_made=cache.evaluations.made)
            with Path(sys.argv[1]).open("a") as file:
                file.write(note.model_dump_json() + "\n")

    return Timed(settings)


if __name__ == "__main__":
    start(Settings(), "timed@bench", timed)
