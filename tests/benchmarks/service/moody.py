"""An engine that sleeps as unevenly as a real one paints, and for about a fortieth of the time.

A step has a part that is always the same and one that grows with its pixels; jobs differ in speed among each other, and
so do steps; each stage begins by tracing. What the pictures show is nothing.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from chaos.engine import Dream, Sleeper

from shared.recipe import LBFGS, Recipe

_STEP_SECONDS: Final = 0.015
_SECONDS_PER_PIXEL: Final = 1.2e-6  # 256 x 192 pixels: 59 ms
_LBFGS: Final = 1.15  # of Adam's time
_START_SECONDS: Final = 0.5
_START_NOISE: Final = 0.4  # standard deviation of the logarithm, as are the others
_JOB_NOISE: Final = 0.2
_STEP_NOISE: Final = 0.3


@dataclass(frozen=True)
class _Step:
    """A frame; `fraction` counts pixels, as the real engine's does."""

    dream: Dream
    fraction: float
    phase: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dream, name)


class Moody(Sleeper):
    """An Engine. The noise is the recipe's seed's."""

    def __init__(self) -> None:
        super().__init__(None, 0)

    def stylize(
        self, content: np.ndarray, styles: Sequence[np.ndarray], recipe: Recipe, state: Mapping[str, Any] | None
    ) -> Iterator[Any]:
        """As Engine says."""
        random = np.random.default_rng(recipe.seed)
        mood = random.lognormal(0, _JOB_NOISE) * (_LBFGS if isinstance(recipe.optimizer, LBFGS) else 1)
        sizes = [size for size, steps in recipe.schedule() for _ in range(steps)]
        done = np.cumsum([0, *(size**2 for size in sizes)])
        trace, before = _START_SECONDS * random.lognormal(0, _START_NOISE) / len(recipe.schedule()), 0
        for dream in super().stylize(content, styles, recipe, state):
            size = sizes[max(0, dream.step - 1)]
            if size != before:
                time.sleep(trace)
                before = size
            usual = _STEP_SECONDS + _SECONDS_PER_PIXEL * size**2 * 3 / 4
            time.sleep(usual * mood * random.lognormal(0, _STEP_NOISE))
            yield _Step(dream, float(done[dream.step] / done[-1]), f"{size} px")
