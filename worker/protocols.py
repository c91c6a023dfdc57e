"""The interfaces between the worker and its engine: an engine yields iterates over explicit state.

`worker/tensorflow_engine.py` implements Engine. Tests use engines that sleep instead of rendering.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from easel.models import Losses
from shared.recipe import Recipe

ReportPreparation = Callable[[str, float], None]
"""Called with what is done before the first step, such as "learning filters", and the fraction done, 0 to 1."""


class Iterate(Protocol):
    """The outcome of one evaluation, which worker.engine.Iterate implements. Threads read it while the engine runs."""

    @property
    def step(self) -> int:
        """Number of the step, from 0."""

    @property
    def phase(self) -> str:
        """Name of the phase for people, such as "192 px" or "patches, 96 px"."""

    @property
    def fraction(self) -> float:
        """Fraction of the job's arithmetic that is done, in [0, 1]."""

    @property
    def losses(self) -> Losses | None:
        """Losses of this step's image; None in patch matching."""

    @property
    def step_backoffs(self) -> int:
        """Number of times so far that the step was halved after a loss that was not finite or exploded."""

    @property
    def image(self) -> np.ndarray:
        """(H, W, 3) float32 in [0, 1]."""

    def state(self) -> dict[str, Any]:
        """Return all that the optimization needs to resume from here: names to arrays."""


class Engine(Protocol):
    """One per child process, created after the fork."""

    def device(self) -> str:
        """Return the GPU's name, or the number of CPU cores, for people."""

    def environment(self) -> Mapping[str, Any]:
        """Return what the bytes depend on apart from inputs, recipe and weights; constant for a process's lifetime.

        `gpus` lists the names of the GPUs it runs on; without any, its jobs have to fit into the machine's memory.
        """

    def weights_seconds(self) -> float:
        """Return about how many seconds `weights` will take to learn the weights; 0 if they are on disk."""

    def weights(self, report: ReportPreparation, /) -> Mapping[str, str]:
        """Return `source` and `sha256` of the weights, which are found or learned once. Raises WeightsUnavailable."""

    def stylize(
        self,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        recipe: Recipe,
        state: Mapping[str, Any] | None,
        *,
        init_image: np.ndarray | None = None,
        masks: Sequence[np.ndarray] = (),
    ) -> Iterator[Iterate]:
        """Yield iterates 0 to `recipe.total_steps`, or those after the iterate of `state`; `next` does the work.

        Images are (H, W, 3) uint8 or uint16, masks (H, W) uint8. Raises BadInput, Diverged, OutOfMemory.
        """

    def restore_iterate(
        self, content: np.ndarray, recipe: Recipe, state: Mapping[str, Any], /, *, masks: Sequence[np.ndarray] = ()
    ) -> Iterate:
        """Return the iterate that `state` was taken from, in a run with this content image and these masks."""

    def needs_restart(self) -> bool:
        """Return whether a fresh process should take over between jobs, to free memory that this one cannot free."""
