"""`stylize`: the optimization as a generator of images over explicit, serializable state."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared.errors import Diverged, InvalidMask
from shared.recipe import Recipe
from shared.recipe_inputs import check_inputs, check_photo_shape, check_shape
from worker.engine.cache import Cache, Evaluate, PathName
from worker.engine.color import match_colors
from worker.engine.determinism import make_deterministic
from worker.engine.image_ops import as_tensor, reflect_pad, resize, resize_longest_side
from worker.engine.iterate import Iterate, PatchState, RunState, create_iterate, restore_state
from worker.engine.optimizers import optimizer_for
from worker.engine.out_of_memory import translate_out_of_memory
from worker.engine.patches.matching import PatchMatching
from worker.engine.postprocess import Postprocess
from worker.engine.regions import Regions
from worker.engine.schedule import Schedule, ScheduledStage
from worker.engine.weights.sources import Weights

Image = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]

_MAX_CONSECUTIVE_BACKOFFS: Final = 2


def stylize(
    content: Image,
    styles: Sequence[Image],
    recipe: Recipe,
    *,
    weights: Weights | None,
    state: Mapping[str, NDArray[Any]] | None = None,
    cache: Cache | None = None,
    path: PathName = "auto",
    init_image: Image | None = None,
    masks: Sequence[NDArray[np.uint8]] = (),
) -> Iterator[Iterate]:
    """Render `content` in the style of `styles`, one step at a time.

    Images are (height, width, 3), upright and in the recipe's color space (`auto` is sRGB), uint8, uint16 or float32 in
    [0, 1], of any size. A style may have a mask as a fourth channel: what is 0 in it is not used.

    Yields steps 0 to `recipe.total_steps`: first an iteration of patch matching each, if the recipe starts with it,
    then an evaluation of loss and gradient each, one more than updates, for the losses of the final image. `weights`
    may be None for a recipe without evaluations. With `state`, yields the steps after the Iterate that it was saved
    from. The work happens inside `next`, so a run can stop at any step. A `cache` from an earlier run of the same size
    saves seconds. `path` selects how an evaluation is computed: `reference` (the Keras model itself), `fast` (optimized
    for CPUs), or `auto`, which is `reference` on a GPU and `fast` elsewhere.

    `init_image` is what a recipe with the init `image` starts from; it is scaled to the content's size.
    With `masks` (height, width), one for each style, a style applies where its mask is 255, and the content remains
    where all are 0.

    The same arguments give the same bytes on the same machine with the same number of threads, interrupted or not.
    If the loss explodes or is not finite, the last good image is yielded again and the next step is half as long.
    Raises InvalidRecipe (the inputs do not match the recipe), InvalidMask (a style's mask is empty), ImageTooSmall (a
    side of the result under 32 pixels), WeightsUnavailable, OutOfMemory, and Diverged if halving the step twice in a
    row did not help.
    """
    check_inputs(recipe, styles=len(styles), masks=len(masks), init_image=init_image is not None)
    check_photo_shape((content.shape[1], content.shape[0]), recipe)
    for style in styles:
        check_shape((style.shape[1], style.shape[0]))
    make_deterministic()
    with translate_out_of_memory(recipe.size):
        run = _Run(
            content, styles, recipe, weights, cache=cache or Cache(), path=path, init_image=init_image, masks=masks
        )
        saved = restore_state(state, run.optimizer) if state else None
    return run.iterates(saved)


class _Run:
    """The inputs and the schedule of one run."""

    def __init__(
        self,
        content: Image,
        styles: Sequence[Image],
        recipe: Recipe,
        weights: Weights | None,
        *,
        cache: Cache,
        path: PathName,
        init_image: Image | None,
        masks: Sequence[NDArray[np.uint8]],
    ) -> None:
        self.recipe, self.weights, self.cache, self.path = recipe, weights, cache, path
        self.init_image, self.regions = init_image, Regions(masks) if masks else None
        self.postprocess = Postprocess(content, recipe, masks)
        self.content = content  # not as floats, which would take four times the memory
        self.styles = [self._prepared(*pair) for pair in zip(styles, recipe.scales(len(styles)), strict=True)]
        self.schedule = Schedule.from_recipe(recipe)
        self.optimizer = optimizer_for(recipe.optimizer)

    def _prepared(self, style: Image, scale: float) -> Image:
        """Return a style image in the colors that the recipe gives it. Raises InvalidMask if its mask is empty."""
        if style.shape[-1] == 4 and not style[..., 3].any():  # noqa: PLR2004 - with a mask
            raise InvalidMask("A style image is transparent everywhere, so there is nothing to take from it.")
        if self.recipe.color != "match" or not self.recipe.color_strength:
            return style
        return match_colors(style, self.content, round(self.recipe.size * scale), self.recipe.color_strength)

    def iterates(self, saved: RunState | PatchState | None) -> Iterator[Iterate]:
        """Yield every Iterate after `saved`."""
        states = self._states(saved)
        del saved  # it is as large as the state that the run continues with
        with translate_out_of_memory(self.recipe.size):
            for state in states:
                yield create_iterate(state, self.recipe, self.schedule, self.postprocess)

    def _states(self, state: RunState | PatchState | None) -> Iterator[RunState | PatchState]:
        if not isinstance(state, RunState):
            for patch_state in self._patch_states(state):
                state = patch_state
                yield patch_state
        for stage in self.schedule.stages:
            if state is None or state.step + 1 < stage.end:
                for next_state in self._stage_states(stage, state):
                    state = next_state
                    yield next_state

    def _patch_states(self, state: PatchState | None) -> Iterator[PatchState]:
        first, image = (state.step + 1, state.image) if state else (0, None)
        iterations = range(first, len(self.schedule.patch_iterations))
        if not iterations:
            return
        matching = PatchMatching(self.content, self.styles, self.recipe, self.regions)
        for number in iterations:
            image = matching.iterate(number, image)
            yield PatchState(number, image)

    def _stage_states(self, stage: ScheduledStage, state: RunState | PatchState | None) -> Iterator[RunState]:
        content = reflect_pad(resize_longest_side(as_tensor(self.content), stage.longest_side), self.recipe.padding)
        evaluate = self._evaluation(content, stage.longest_side)
        if not isinstance(state, RunState) or state.stage != stage.index:
            state = self._initial_state(stage, content, state)
        while state.step + 1 < stage.end:
            state = self._step(state, evaluate)
            yield state

    def _evaluation(self, content: tf.Tensor, longest_side: int) -> Evaluate:
        """Return the evaluation for the stage's images. Raises ValueError without weights."""
        if self.weights is None:
            msg = "a recipe with evaluations needs weights"
            raise ValueError(msg)
        padding = self.recipe.padding
        style_sides = [round(longest_side * scale) for scale in self.recipe.scales(len(self.styles))]
        guides = None
        if self.regions:
            size = content.shape[0] - 2 * padding, content.shape[1] - 2 * padding
            layers = [layer for layer, weight in self.recipe.style_layers.items() if weight]
            guides = self.regions.guides(size, padding, layers)
        return self.cache.evaluation(
            self.weights, self.recipe, content, self.styles, style_sides, path=self.path, guides=guides
        )

    def _initial_state(
        self, stage: ScheduledStage, content: tf.Tensor, previous: RunState | PatchState | None
    ) -> RunState:
        """Return the state before a stage: the previous stage's image enlarged, or the recipe's initial image."""
        padding = self.recipe.padding
        size = content.shape[0] - 2 * padding, content.shape[1] - 2 * padding
        if previous:
            image = reflect_pad(resize(previous.visible_image(padding), size), padding)
        elif self.init_image is not None and self.recipe.init == "image":
            image = reflect_pad(resize(as_tensor(self.init_image), size), padding)
        elif self.recipe.init == "content":
            image = content
        else:
            image = _noise(tuple(content.shape), self.recipe.seed)
        step_backoffs = previous.step_backoffs if previous else 0
        metrics, optimizer = np.zeros(5, np.float32), self.optimizer.init(image)
        return RunState(stage.first - 1, stage.index, metrics, optimizer, step_backoffs=step_backoffs)

    def _step(self, state: RunState, evaluate: Evaluate) -> RunState:
        metrics_tensor, gradient = evaluate(state.optimizer.image)
        optimizer = self.optimizer.step(state.optimizer, metrics_tensor[0], gradient)
        # Read after the update has started, so that a GPU does not idle between the two.
        metrics: NDArray[np.float32] = metrics_tensor.numpy()
        if np.isfinite(metrics).all() and not (optimizer.accepted and state.is_explosion(float(metrics[0]))):
            return state.advance(metrics, optimizer, self.recipe.averaging)
        return self._back_off(state)

    def _back_off(self, state: RunState) -> RunState:
        """Return to the last good image and halve the step. Raises Diverged if that cannot help."""
        if state.lowest_total < math.inf and state.consecutive_backoffs < _MAX_CONSECUTIVE_BACKOFFS:
            return state.back_off(self.optimizer.back_off(state.optimizer))
        if backoffs := state.consecutive_backoffs:
            problem = f"is not finite or explodes, although the step was halved {backoffs} times"
            advice = "Lower the recipe's learning rate or weights."
        else:
            problem, advice = "is not finite, and there is no earlier image at this size", "Lower the recipe's weights."
        raise Diverged(f"At step {state.step + 1} the loss {problem}. {advice}")


def _noise(shape: tuple[int, ...], seed: int) -> tf.Tensor:
    """Return uniform noise in [0, 1), which depends on the seed only."""
    return tf.constant(np.random.default_rng(seed).random(shape, np.float32))
