"""The state of a run after each evaluation, and the `Iterate` that a run yields for it.

`RunState` holds everything that the next evaluation depends on, `PatchState` everything that the next iteration of
patch matching does. Both convert to flat arrays and back without a loss of bits.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from easel.models import Losses
from shared.recipe import Recipe
from worker.engine.image_ops import crop_padding
from worker.engine.optimizers import Arrays, Optimizer, OptimizerState, optimizer_for
from worker.engine.postprocess import Postprocess
from worker.engine.schedule import Schedule

_EXPLOSION_FACTOR: Final = 1000.0  # far beyond what a working optimizer ever overshoots
_OPTIMIZER_PREFIX: Final = "optimizer/"
_PATCH_IMAGE: Final = "patches/image"
_AVERAGE: Final = "average"
_ARRAY_FIELDS: Final = (
    "step",
    "stage",
    "metrics",
    "lowest_total",
    "consecutive_backoffs",
    "step_backoffs",
    "averaged",
)


@dataclass(frozen=True)
class PatchState:
    """The state after an iteration of patch matching."""

    step: int
    image: NDArray[np.float32]  # (height, width, 3), in [0, 1]

    step_backoffs = 0

    def visible_image(self, padding: int) -> tf.Tensor:  # noqa: ARG002 - as of RunState
        """See RunState. Patch matching has no padding."""
        return tf.constant(self.image)

    def arrays(self) -> Arrays:
        """See RunState."""
        return {"step": np.asarray(self.step), _PATCH_IMAGE: self.image}


@dataclass(frozen=True)
class RunState:
    """The state after evaluation number `step` and the optimizer's response to it."""

    step: int
    stage: int
    metrics: NDArray[np.float32]  # [total, style, content, total variation, gradient norm] of the accepted image
    optimizer: OptimizerState
    lowest_total: float = math.inf  # in this stage; infinite before its first evaluation
    consecutive_backoffs: int = 0
    step_backoffs: int = 0  # in the whole run
    average: tf.Tensor | None = None  # of the stage's accepted images, if the recipe has `averaging`
    averaged: int = 0  # images in it

    def visible_image(self, padding: int) -> tf.Tensor:
        """Return the average, or else the accepted image, without its padding, (height, width, 3)."""
        return crop_padding(self.optimizer.current if self.average is None else self.average, padding)

    def is_explosion(self, total: float) -> bool:
        """Return whether a total loss is so far above the stage's lowest one that the run cannot recover from it."""
        return 0 < _EXPLOSION_FACTOR * self.lowest_total < total

    def advance(self, metrics: NDArray[np.float32], optimizer: OptimizerState, averaging: float) -> Self:
        """Return the state after an evaluation with these metrics."""
        return replace(
            self._averaged(optimizer.current, averaging) if averaging and optimizer.accepted else self,
            step=self.step + 1,
            metrics=metrics if optimizer.accepted else self.metrics,
            optimizer=optimizer,
            lowest_total=min(self.lowest_total, float(metrics[0])),
            consecutive_backoffs=0,
        )

    def _averaged(self, image: tf.Tensor, decay: float) -> Self:
        """Return the state with one more image in the average: the mean of all, until `decay` makes it a moving one."""
        if self.average is None:
            return replace(self, average=image, averaged=1)
        share = max(1 - decay, 1 / (self.averaged + 1))
        return replace(self, average=self.average + share * (image - self.average), averaged=self.averaged + 1)

    def back_off(self, optimizer: OptimizerState) -> Self:
        """Return the state after an unusable evaluation, with an optimizer that takes half the step."""
        return replace(
            self,
            step=self.step + 1,
            optimizer=optimizer,
            consecutive_backoffs=self.consecutive_backoffs + 1,
            step_backoffs=self.step_backoffs + 1,
        )

    def arrays(self) -> Arrays:
        """Return the state as a flat dict. Nothing is pickled, so `numpy.savez` preserves every bit."""
        fields = {name: np.asarray(getattr(self, name)) for name in _ARRAY_FIELDS}
        if self.average is not None:
            fields[_AVERAGE] = np.asarray(self.average)
        return fields | {_OPTIMIZER_PREFIX + name: array for name, array in self.optimizer.arrays().items()}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], optimizer: Optimizer) -> Self:
        """Return the state that `arrays()` was called on. Raises KeyError if it belongs to another optimizer."""
        prefixed = [name for name in arrays if name.startswith(_OPTIMIZER_PREFIX)]
        return cls(
            step=int(arrays["step"]),
            stage=int(arrays["stage"]),
            metrics=np.asarray(arrays["metrics"], np.float32),
            optimizer=optimizer.restore({name.removeprefix(_OPTIMIZER_PREFIX): arrays[name] for name in prefixed}),
            lowest_total=float(arrays["lowest_total"]),
            consecutive_backoffs=int(arrays["consecutive_backoffs"]),
            step_backoffs=int(arrays["step_backoffs"]),
            average=tf.constant(arrays[_AVERAGE]) if _AVERAGE in arrays else None,
            averaged=int(arrays["averaged"]),
        )


@dataclass(frozen=True)
class Iterate:
    """The image after `step`. Without patch matching, step 0 is the initial image, and each step an update.

    Nothing is copied before `image` is read. `state()` returns views. Both stay valid while the run continues.
    """

    step: int
    losses: Losses | None  # of the image accepted last, before averaging and postprocessing; None in patch matching
    gradient_norm: float | None  # of its total loss, with respect to pixel values in [0, 1]
    phase: str  # such as "192 px"
    fraction: float  # of the run's arithmetic done so far, in [0, 1]
    step_backoffs: int  # times the step was halved so far, after unusable evaluations
    run_state: RunState | PatchState = field(repr=False)
    padding: int = field(repr=False)  # pixels beyond each edge that are optimized too but not part of the image
    postprocess: Postprocess = field(repr=False)

    @cached_property
    def image(self) -> NDArray[np.float32]:
        """(height, width, 3), RGB in [0, 1], at the size of the current stage."""
        return self.postprocess(self.run_state.visible_image(self.padding).numpy())

    def state(self) -> Arrays:
        """Return everything that `stylize(..., state=)` needs to continue bit for bit: a flat dict of numpy arrays."""
        return self.run_state.arrays()


def create_iterate(
    run_state: RunState | PatchState, recipe: Recipe, schedule: Schedule, postprocess: Postprocess
) -> Iterate:
    """Return the Iterate of a run of `recipe` in this state."""
    if isinstance(run_state, PatchState):
        return Iterate(
            step=run_state.step,
            losses=None,
            gradient_norm=None,
            phase=f"patches, {schedule.patch_iterations[run_state.step].longest_side} px",
            fraction=schedule.fraction_done(run_state.step),
            step_backoffs=0,
            run_state=run_state,
            padding=0,
            postprocess=postprocess,
        )
    total, style, content, variation, norm = (float(value) for value in run_state.metrics)
    return Iterate(
        step=run_state.step,
        losses=Losses(total=total, style=style, content=content, total_variation=variation),
        gradient_norm=norm,
        phase=f"{schedule.stages[run_state.stage].longest_side} px",
        fraction=schedule.fraction_done(run_state.step),
        step_backoffs=run_state.step_backoffs,
        run_state=run_state,
        padding=recipe.padding,
        postprocess=postprocess,
    )


def restore_iterate(
    content: NDArray[Any],
    recipe: Recipe,
    state: Mapping[str, NDArray[Any]],
    masks: Sequence[NDArray[np.uint8]] = (),
) -> Iterate:
    """Return the Iterate that `state()` was called on, without evaluating it; images are those of the run.

    Raises KeyError if the state belongs to another optimizer.
    """
    run_state = restore_state(state, optimizer_for(recipe.optimizer))
    return create_iterate(run_state, recipe, Schedule.from_recipe(recipe), Postprocess(content, recipe, masks))


def restore_state(arrays: Mapping[str, NDArray[Any]], optimizer: Optimizer) -> RunState | PatchState:
    """Return the state that `arrays()` was called on. Raises KeyError if it belongs to another optimizer."""
    if _PATCH_IMAGE in arrays:
        return PatchState(int(arrays["step"]), np.asarray(arrays[_PATCH_IMAGE], np.float32))
    return RunState.restore(arrays, optimizer)
