"""A sleeping engine with the uneven speed of the real one, about forty times faster.

The time of a step has a constant part and one proportional to its pixels. Jobs differ in speed, and so do the steps
of a job. Each stage begins with tracing. The images are noise.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from chaos.stack.engine import SleepingEngine, SleepIterate

from shared.recipe import LBFGS, Recipe

_STEP_SECONDS: Final = 0.015
_SECONDS_PER_PIXEL: Final = 1.2e-6  # 256 x 192 pixels: 59 ms
_LBFGS_FACTOR: Final = 1.15  # of Adam's time
_START_SECONDS: Final = 0.5
_START_NOISE: Final = 0.4  # standard deviations of the logarithm
_JOB_NOISE: Final = 0.2
_STEP_NOISE: Final = 0.3


@dataclass(frozen=True)
class _Step:
    """An Iterate whose `fraction` counts pixels, like the real engine's."""

    iterate: SleepIterate
    fraction: float
    phase: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.iterate, name)


class UnevenEngine(SleepingEngine):
    """An Engine. The recipe's seed determines the noise."""

    def __init__(self) -> None:
        super().__init__(None, 0)

    def stylize(
        self,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        recipe: Recipe,
        state: Mapping[str, Any] | None,
        **images: Any,
    ) -> Iterator[Any]:
        """See Engine."""
        random = np.random.default_rng(recipe.seed)
        job_factor = random.lognormal(0, _JOB_NOISE) * (_LBFGS_FACTOR if isinstance(recipe.optimizer, LBFGS) else 1)
        steps = [(it.longest_side, it.pixel_evaluations(it.longest_side**2)) for it in recipe.patch_iterations()]
        steps += [(size, float(size**2)) for size, evaluations in recipe.schedule() for _ in range(evaluations)]
        done = np.cumsum([0, *(work for _, work in steps)])
        trace, last_size = _START_SECONDS * random.lognormal(0, _START_NOISE) / len(recipe.schedule()), 0
        for iterate in super().stylize(content, styles, recipe, state, **images):
            size, work = steps[max(0, iterate.step - 1)]
            if size != last_size:
                time.sleep(trace)
                last_size = size
            mean = _STEP_SECONDS + _SECONDS_PER_PIXEL * work * 3 / 4
            time.sleep(mean * job_factor * random.lognormal(0, _STEP_NOISE))
            yield _Step(iterate, float(done[iterate.step] / done[-1]), f"{size} px")
