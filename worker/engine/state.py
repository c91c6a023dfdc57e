"""Where a run stands: everything that the next evaluation depends on, as flat arrays and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.engine.optimizers import Arrays, Optimizer, OptimizerState

_PREFIX = "optimizer/"


@dataclass(frozen=True)
class Position:
    """After the evaluation number `step` and what the optimiser made of it."""

    step: int
    stage: int
    measured: NDArray[np.float32]  # [total, style, content, total variation, gradient norm] of the current picture
    optimizer: OptimizerState

    def arrays(self) -> Arrays:
        """All of it, flat; nothing is pickled, so `numpy.savez` keeps every bit."""
        loop = {"step": np.array(self.step), "stage": np.array(self.stage), "measured": self.measured}
        return loop | {_PREFIX + name: array for name, array in self.optimizer.arrays().items()}


def restored(arrays: Mapping[str, NDArray[Any]], optimizer: Optimizer) -> Position:
    """The Position whose `arrays()` these are; KeyError if they are of another optimiser."""
    own = {name.removeprefix(_PREFIX): array for name, array in arrays.items() if name.startswith(_PREFIX)}
    measured = np.asarray(arrays["measured"], np.float32)
    return Position(int(arrays["step"]), int(arrays["stage"]), measured, optimizer.restore(own))
