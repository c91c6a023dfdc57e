"""Where a run stands: everything that the next evaluation depends on, as flat arrays and back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.engine.optimizers import Arrays, Optimizer, OptimizerState

_EXPLOSION: Final = 1000.0  # times the least loss: far beyond what an optimiser that works ever overshoots
_PREFIX: Final = "optimizer/"
_LOOP: Final = ("step", "stage", "measured", "least", "retreats", "step_backoffs")


@dataclass(frozen=True)
class Position:
    """After the evaluation number `step` and what the optimiser made of it."""

    step: int
    stage: int
    measured: NDArray[np.float32]  # [total, style, content, total variation, gradient norm] of the current picture
    optimizer: OptimizerState
    least: float = math.inf  # total of this stage; infinite until something was evaluated at its size
    retreats: int = 0  # evaluations in a row, up to this one, that were of no use
    step_backoffs: int = 0  # of the step, in the whole run

    def explodes(self, total: float) -> bool:
        """Whether a loss lies so far above the stage's least that no good can come of it."""
        return 0 < _EXPLOSION * self.least < total

    def forward(self, found: NDArray[np.float32], optimizer: OptimizerState) -> "Position":
        """One evaluation on, which measured `found`."""
        return replace(
            self,
            step=self.step + 1,
            measured=found if optimizer.accepted else self.measured,
            optimizer=optimizer,
            least=min(self.least, float(found[0])),
            retreats=0,
        )

    def back(self, optimizer: OptimizerState) -> "Position":
        """One evaluation on, which was of no use: the optimiser is to try half the step from the same picture."""
        return replace(
            self,
            step=self.step + 1,
            optimizer=optimizer,
            retreats=self.retreats + 1,
            step_backoffs=self.step_backoffs + 1,
        )

    def arrays(self) -> Arrays:
        """All of it, flat; nothing is pickled, so `numpy.savez` keeps every bit."""
        loop = {name: np.asarray(getattr(self, name)) for name in _LOOP}
        return loop | {_PREFIX + name: array for name, array in self.optimizer.arrays().items()}


def restored(arrays: Mapping[str, NDArray[Any]], optimizer: Optimizer) -> Position:
    """The Position whose `arrays()` these are; KeyError if they are of another optimiser."""
    own = {name.removeprefix(_PREFIX): array for name, array in arrays.items() if name.startswith(_PREFIX)}
    return Position(
        step=int(arrays["step"]),
        stage=int(arrays["stage"]),
        measured=np.asarray(arrays["measured"], np.float32),
        optimizer=optimizer.restore(own),
        least=float(arrays["least"]),
        retreats=int(arrays["retreats"]),
        step_backoffs=int(arrays["step_backoffs"]),
    )
