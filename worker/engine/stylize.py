"""`stylize`: the optimisation as a generator of pictures over explicit, serialisable state."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared import images
from shared.errors import Diverged, InvalidRecipe
from shared.recipe import Recipe
from worker.engine.cache import Cache, Evaluate, PathName
from worker.engine.determinism import make_deterministic
from worker.engine.image_ops import as_tensor, bled, fit, resize, trimmed
from worker.engine.iterate import Iterate, iterate_at
from worker.engine.memory import shortage_named
from worker.engine.optimizers import optimizer_for
from worker.engine.schedule import Plan, Stage
from worker.engine.state import Position, restored
from worker.engine.weights.sources import Weights

Image = NDArray[np.uint8] | NDArray[np.float32]

_MOST_RETREATS: Final = 2  # in a row


def stylize(
    content: Image,
    styles: Sequence[Image],
    recipe: Recipe,
    *,
    weights: Weights,
    state: Mapping[str, NDArray[Any]] | None = None,
    cache: Cache | None = None,
    path: PathName = "auto",
) -> Iterator[Iterate]:
    """Paint `content` in the manner of `styles`, one evaluation of loss and gradient at a time.

    Images are (height, width, 3) RGB, upright and sRGB, uint8 or float32 in [0, 1], of any size. Yields steps 0 to
    `recipe.steps` (one evaluation more than updates, so that the last picture's losses are known); with `state`, the
    steps after the Iterate that it came from. The work is done inside `next`: stop whenever you like. A `cache`
    from earlier runs saves the next one of the same size seconds. `path` is how an evaluation is computed: `reference`,
    the Keras model itself, `fast`, the path for processors, or `auto`, which is `reference` on a GPU.

    The same arguments give the same bytes on the same machine with the same number of threads, interrupted or not.
    An evaluation whose loss explodes or is not finite yields the last good picture once more, and the next step is half
    as long. Raises InvalidRecipe (style_mix does not fit the styles), ImageTooSmall (a side under 32 pixels at the
    recipe's size), WeightsUnavailable, OutOfMemory, and Diverged where two halvings in a row did not help.
    """
    if recipe.style_mix and len(recipe.style_mix) != len(styles):
        raise InvalidRecipe(
            f"style_mix has {len(recipe.style_mix)} shares for {len(styles)} styles; give one for each."
        )
    images.fit((content.shape[1], content.shape[0]), recipe.size)  # raises for too extreme a shape
    make_deterministic()
    with shortage_named(recipe.size):
        run = _Run(content, styles, recipe, weights=weights, cache=cache or Cache(), path=path)
        position = restored(state, run.optimizer) if state else None
    return run.iterates(position)


class _Run:
    """One run's inputs and its plan."""

    def __init__(
        self,
        content: Image,
        styles: Sequence[Image],
        recipe: Recipe,
        *,
        weights: Weights,
        cache: Cache,
        path: PathName,
    ) -> None:
        self.recipe, self.weights, self.cache, self.path = recipe, weights, cache, path
        self.content, self.styles = content, styles  # as they came: as floats they would take four times the memory
        self.plan = Plan.of(recipe)
        self.optimizer = optimizer_for(recipe.optimizer)

    def iterates(self, saved: Position | None) -> Iterator[Iterate]:
        """Every Iterate after `saved`, stage by stage."""
        positions = self._positions(saved)
        del saved  # as large as what the run goes on with
        with shortage_named(self.recipe.size):
            for position in positions:
                yield iterate_at(position, self.recipe, self.plan)

    def _positions(self, position: Position | None) -> Iterator[Position]:
        for stage in self.plan.stages:
            if position is None or position.step + 1 < stage.beyond:
                for reached in self._stage(stage, position):
                    position = reached
                    yield reached

    def _stage(self, stage: Stage, position: Position | None) -> Iterator[Position]:
        content = bled(fit(as_tensor(self.content), stage.longest), self.recipe.bleed)
        evaluate = self._evaluation(content, stage.longest)
        if position is None or position.stage != stage.index:
            position = self._enter(stage, content, position)
        while position.step + 1 < stage.beyond:
            position = self._step(position, evaluate)
            yield position

    def _evaluation(self, content: tf.Tensor, longest: int) -> Evaluate:
        """Of the stage's images."""
        style_longest = round(longest * self.recipe.style_scale)
        styles = [self.cache.style(self.weights, self.recipe, style, style_longest) for style in self.styles]
        return self.cache.evaluation(self.weights, self.recipe, content, styles, self.path)

    def _enter(self, stage: Stage, content: tf.Tensor, before: Position | None) -> Position:
        """The stage's first image, not evaluated yet: the last one's picture enlarged, or the recipe's init."""
        margin = self.recipe.bleed
        if before:
            height, width = content.shape[0] - 2 * margin, content.shape[1] - 2 * margin
            image = bled(resize(trimmed(before.optimizer.current, margin), (height, width)), margin)
        elif self.recipe.init == "content":
            image = content
        else:
            image = _noise(tuple(content.shape), self.recipe.seed)
        step_backoffs = before.step_backoffs if before else 0
        measured = np.zeros(5, np.float32)
        return Position(stage.first - 1, stage.index, measured, self.optimizer.init(image), step_backoffs=step_backoffs)

    def _step(self, position: Position, evaluate: Evaluate) -> Position:
        measured, gradient = evaluate(position.optimizer.image)
        state = self.optimizer.step(position.optimizer, measured[0], gradient)
        found: NDArray[np.float32] = (
            measured.numpy()
        )  # after the update was started, so that a GPU has no gap between the two
        if np.isfinite(found).all() and not (state.accepted and position.explodes(float(found[0]))):
            return position.forward(found, state)
        return self._retreat(position)

    def _retreat(self, position: Position) -> Position:
        """The last good picture, and half the step from it. Raises Diverged where that is of no use."""
        if position.least < math.inf and position.retreats < _MOST_RETREATS:
            return position.back(self.optimizer.back_off(position.optimizer))
        tried = (
            f"though the step was halved {position.retreats} times; lower the learning rate or the weights"
            if position.retreats
            else "in the first picture of its size already; lower the weights"
        )
        raise Diverged(f"At step {position.step + 1} the loss is not finite, or explodes, {tried} of the recipe.")


def _noise(shape: tuple[int, ...], seed: int) -> tf.Tensor:
    """Uniform in [0, 1), the same for the same seed."""
    return tf.constant(np.random.default_rng(seed).random(shape, np.float32))
