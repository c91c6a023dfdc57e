"""What paints, as the task, the heartbeat and the scribe see it: any engine that yields frames over explicit state.

The real one is worker/tensorflow_engine.py. Behind the same contract tests run one that sleeps instead of painting.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from easel.models import Losses
from shared.recipe import Recipe


class Frame(Protocol):
    """One evaluation's outcome; worker.engine.Iterate is one. Other threads read it while the engine goes on."""

    @property
    def step(self) -> int:
        """Evaluations done."""

    @property
    def phase(self) -> str:
        """Such as "192 px"."""

    @property
    def fraction(self) -> float:
        """Of the job's arithmetic, in [0, 1]."""

    @property
    def losses(self) -> Losses:
        """Of this step's picture."""

    @property
    def step_backoffs(self) -> int:
        """How often the step was halved so far because a loss was not finite or exploded."""

    @property
    def image(self) -> np.ndarray:
        """(H, W, 3) float32 in [0, 1]."""

    def state(self) -> dict[str, Any]:
        """All that the optimisation needs to go on from here: names to arrays."""


class Engine(Protocol):
    """One per child process; made after the fork."""

    def device(self) -> str:
        """For people: the GPU's name, or the number of processor cores."""

    def environment(self) -> Mapping[str, Any]:
        """What the bytes depend on besides inputs, recipe and weights; the same for as long as the process lives.

        Under `gpus`, the names of the GPUs it runs on; without any, its jobs have to fit into the machine's memory.
        """

    def weights(self) -> Mapping[str, str]:
        """`source` and `sha256` of what it paints with, found or learned once. Raises WeightsUnavailable."""

    def stylize(
        self, content: np.ndarray, styles: Sequence[np.ndarray], recipe: Recipe, state: Mapping[str, Any] | None
    ) -> Iterator[Frame]:
        """Frames 0 to `recipe.steps`, or those after the frame that `state` came from; the work is done in `next`.

        Images are (H, W, 3) uint8. Raises Diverged and OutOfMemory besides what is wrong with the input.
        """

    def revive(self, recipe: Recipe, state: Mapping[str, Any]) -> Frame:
        """The frame that `state` came from."""

    def worn(self) -> bool:
        """Whether a fresh process should take over between jobs, for what this one holds and cannot let go."""
