"""What a run yields after each evaluation, made from where it stands; `revive` makes it from a saved state."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from easel.models import Losses
from shared.recipe import Recipe
from worker.engine.image_ops import trimmed
from worker.engine.optimizers import Arrays, optimizer_for
from worker.engine.schedule import Plan
from worker.engine.state import Position, restored


@dataclass(frozen=True)
class Iterate:
    """The picture after `step` evaluations were acted upon; step 0 is the initial image.

    Nothing is copied until `image` is asked for; `state()` are views, and both stay valid while the run goes on.
    """

    step: int
    losses: Losses  # of this very picture
    gradient_norm: float  # of the total loss there, by pixel values in [0, 1]
    phase: str  # such as "192 px"
    fraction: float  # of the run's arithmetic that is done, in [0, 1]
    step_backoffs: int  # of the optimiser's step so far, each after an evaluation that was of no use
    position: Position = field(repr=False)
    bleed: int = field(repr=False)  # pixels beyond each edge that belong to the run, not to the picture

    @cached_property
    def image(self) -> NDArray[np.float32]:
        """(height, width, 3), RGB in [0, 1], at the size of the present stage."""
        picture: NDArray[np.float32] = trimmed(self.position.optimizer.current, self.bleed).numpy()
        return picture

    def state(self) -> Arrays:
        """All that `stylize(..., state=)` needs to go on from here, bit for bit: a flat dict of numpy arrays."""
        return self.position.arrays()


def iterate_at(position: Position, recipe: Recipe, plan: Plan) -> Iterate:
    """What to show of a run of `recipe` that stands at `position`."""
    total, style, content, variation, norm = (float(value) for value in position.measured)
    return Iterate(
        step=position.step,
        losses=Losses(total=total, style=style, content=content, total_variation=variation),
        gradient_norm=norm,
        phase=f"{plan.stages[position.stage].longest} px",
        fraction=plan.fraction(position.step),
        step_backoffs=position.step_backoffs,
        position=position,
        bleed=recipe.bleed,
    )


def revive(recipe: Recipe, state: Mapping[str, NDArray[Any]]) -> Iterate:
    """The Iterate whose `state()` this is, with nothing evaluated; KeyError if it is of another optimiser."""
    return iterate_at(restored(state, optimizer_for(recipe.optimizer)), recipe, Plan.of(recipe))
