"""`stylize`: the optimisation as a generator of pictures over explicit, serialisable state."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared import images
from shared.errors import Diverged, InvalidRecipe
from shared.job import Losses
from shared.recipe import Recipe
from worker.engine.objective import Objective
from worker.engine.optimizers import Arrays, optimizer_for
from worker.engine.resize import as_tensor, bled, fit, resize, trimmed
from worker.engine.state import Position, restored
from worker.engine.style_content import StyleContentModel
from worker.engine.weights import Weights

Image = NDArray[np.uint8] | NDArray[np.float32]
Evaluate = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


@dataclass(frozen=True)
class Iterate:
    """The picture after `step` evaluations were acted upon; step 0 is the initial image.

    Nothing is copied until `image` or `state()` is asked for, and both stay valid while the run goes on.
    """

    step: int
    losses: Losses  # of this very picture
    gradient_norm: float  # of the total loss there, by pixel values in [0, 1]
    phase: str  # such as "192 px"
    fraction: float  # of the run's arithmetic that is done, in [0, 1]
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


def stylize(
    content: Image,
    styles: Sequence[Image],
    recipe: Recipe,
    *,
    weights: Weights,
    state: Mapping[str, NDArray[Any]] | None = None,
) -> Iterator[Iterate]:
    """Paint `content` in the manner of `styles`, one evaluation of loss and gradient at a time.

    Images are (height, width, 3) RGB, upright and sRGB, uint8 or float32 in [0, 1], of any size. Yields steps 0 to
    `recipe.steps` (one evaluation more than updates, so that the last picture's losses are known); with `state`, the
    steps after the Iterate that it came from. The work is done inside `next`: stop whenever you like.

    The same arguments give the same bytes on the same machine with the same number of threads, interrupted or not.
    Raises InvalidRecipe (style_mix does not fit the styles), ImageTooSmall (a side under 32 pixels at the recipe's
    size), WeightsUnavailable, and Diverged as soon as a loss or gradient is not finite.
    """
    if recipe.style_mix and len(recipe.style_mix) != len(styles):
        raise InvalidRecipe(
            f"style_mix has {len(recipe.style_mix)} shares for {len(styles)} styles; give one for each."
        )
    images.fit((content.shape[1], content.shape[0]), recipe.size)  # raises for too extreme a shape
    tf.config.experimental.enable_op_determinism()
    return _Run(content, styles, recipe, weights.path).iterates(state)


@dataclass(frozen=True)
class _Stage:
    """The evaluations `first` to before `beyond`, at one size."""

    index: int
    longest: int
    first: int
    beyond: int


class _Run:
    """One run's inputs, its network and its plan."""

    def __init__(self, content: Image, styles: Sequence[Image], recipe: Recipe, weights: Path) -> None:
        self.recipe = recipe
        self.content, self.styles = as_tensor(content), [as_tensor(style) for style in styles]
        self.plan = _plan(recipe)
        self.model = StyleContentModel(recipe, weights)
        self.optimizer = optimizer_for(recipe.optimizer)

    def iterates(self, saved: Mapping[str, NDArray[Any]] | None) -> Iterator[Iterate]:
        """Every Iterate after `saved`, stage by stage."""
        position = restored(saved, self.optimizer) if saved else None
        for stage in self.plan:
            if position is None or position.step + 1 < stage.beyond:
                for iterate in self._stage(stage, position):
                    position = iterate.position
                    yield iterate

    def _stage(self, stage: _Stage, position: Position | None) -> Iterator[Iterate]:
        content = bled(fit(self.content, stage.longest), self.recipe.bleed)
        evaluate = self._compiled(content, stage.longest)
        if position is None or position.stage != stage.index:
            position = self._enter(stage, content, position)
        while position.step + 1 < stage.beyond:
            position = self._step(position, evaluate)
            yield self._iterate(position)

    def _compiled(self, content: tf.Tensor, longest: int) -> Evaluate:
        """One traced function for the stage; it goes with the stage, and its graph with it."""
        styles = [fit(style, round(longest * self.recipe.style_scale)) for style in self.styles]
        objective = Objective.of(self.model, self.recipe, content, styles)
        evaluate: Evaluate = tf.function(objective.evaluate, autograph=False)
        return evaluate

    def _enter(self, stage: _Stage, content: tf.Tensor, before: Position | None) -> Position:
        """The stage's first image, not evaluated yet: the last one's picture enlarged, or the recipe's init."""
        margin = self.recipe.bleed
        if before:
            height, width = content.shape[0] - 2 * margin, content.shape[1] - 2 * margin
            image = bled(resize(trimmed(before.optimizer.current, margin), (height, width)), margin)
        elif self.recipe.init == "content":
            image = content
        else:
            image = _noise(tuple(content.shape), self.recipe.seed)
        return Position(stage.first - 1, stage.index, np.zeros(5, np.float32), self.optimizer.init(image))

    def _step(self, position: Position, evaluate: Evaluate) -> Position:
        measured, gradient = evaluate(position.optimizer.image)
        found: NDArray[np.float32] = measured.numpy()
        step = position.step + 1
        if not np.isfinite(found).all():
            raise Diverged(
                f"At step {step} the loss or its gradient is not a finite number any more; "
                "lower the learning rate or the weights of the recipe."
            )
        state = self.optimizer.step(position.optimizer, float(found[0]), gradient)
        return Position(step, position.stage, found if state.accepted else position.measured, state)

    def _iterate(self, position: Position) -> Iterate:
        total, style, content, variation, norm = (float(value) for value in position.measured)
        return Iterate(
            step=position.step,
            losses=Losses(total=total, style=style, content=content, total_variation=variation),
            gradient_norm=norm,
            phase=f"{self.plan[position.stage].longest} px",
            fraction=self._fraction(position),
            position=position,
            bleed=self.recipe.bleed,
        )

    def _fraction(self, position: Position) -> float:
        """An evaluation's work is in proportion to its pixels, and every stage has the same shape."""
        work = [stage.longest**2 for stage in self.plan]
        done = sum(
            work[stage.index] * max(0, min(position.step + 1, stage.beyond) - stage.first) for stage in self.plan
        )
        return done / sum(work[stage.index] * (stage.beyond - stage.first) for stage in self.plan)


def _plan(recipe: Recipe) -> list[_Stage]:
    """The recipe's schedule in numbers of evaluations, with one more at the end for the last picture's losses."""
    plan, first = [], 0
    for index, (longest, evaluations) in enumerate(recipe.schedule()):
        last = index + 1 == len(recipe.stages)
        plan.append(_Stage(index, longest, first, first + evaluations + last))
        first += evaluations
    return plan


def _noise(shape: tuple[int, ...], seed: int) -> tf.Tensor:
    """Uniform in [0, 1), the same for the same seed."""
    return tf.constant(np.random.default_rng(seed).random(shape, np.float32))
