"""L-BFGS (Liu and Nocedal 1989) inside [0, 1], by two-metric projection (Bertsekas 1982; Schmidt, Kim, Sra 2011).

Pixels at a bound whose gradient points outward stay fixed. The others move along d = -H g, and the trial is clipped.
The whole update after an accepted trial is one traced function with one report to wait for. Otherwise a GPU would
spend more time on launching many small operations than on computing them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared import recipe
from worker.engine.optimizers.initial_hessian import LATEST_PAIRS, apply_initial_hessian
from worker.engine.optimizers.lbfgs_hessian import PairHistory, Slots, append_products, apply_inverse
from worker.engine.optimizers.line_search import is_accepted, shorter_step
from worker.engine.optimizers.protocol import Arrays
from worker.engine.optimizers.tensor_ops import Vectors, fused, inner_product, stack_on_gpu, traced

_GRADIENT_STEP: Final = 0.02  # mean absolute change of a pixel in a step along the plain gradient
MAX_REJECTIONS: Final = 6
"""Consecutive rejected trials after which the pairs are dropped."""


@dataclass(frozen=True)
class LBFGSState:
    """`current` x_k with its `loss` f_k and `gradient` g_k is the last accepted point.

    `image` is x_k + `step_size` `direction`, clipped.
    """

    image: tf.Tensor
    current: tf.Tensor
    gradient: tf.Tensor
    direction: tf.Tensor
    history: PairHistory
    loss: float = float("inf")  # infinite before the first evaluation
    step_size: float = 0.0
    rejections: int = 0  # trials since `current` was accepted

    @property
    def accepted(self) -> bool:
        """Whether `current` is the image evaluated last."""
        return self.rejections == 0

    def arrays(self) -> Arrays:
        """Return the state as a flat dict. Pairs are numbered, oldest first."""
        tensors = {
            "image": self.image,
            "current": self.current,
            "gradient": self.gradient,
            "direction": self.direction,
            "s_dot_y": self.history.s_dot_y,
            **{f"s/{index}": s for index, s in enumerate(self.history.s_history)},
            **{f"y/{index}": y for index, y in enumerate(self.history.y_history)},
        }
        return {name: np.asarray(tensor) for name, tensor in tensors.items()} | {
            "loss": np.array(self.loss),
            "step_size": np.array(self.step_size),
            "rejections": np.array(self.rejections),
        }


class Trial(NamedTuple):
    """An image with its loss, a scalar, and its gradient."""

    image: tf.Tensor
    loss: tf.Tensor
    gradient: tf.Tensor


class AcceptedTrial(NamedTuple):
    """The update after an accepted trial: its pair, the next direction, and the first trial along it.

    `report` is [loss, g_k^T s, whether to keep the pair, d^T g], float32.
    """

    s: tf.Tensor
    y: tf.Tensor
    s_dot_y: tf.Tensor
    direction: tf.Tensor
    image: tf.Tensor
    report: tf.Tensor


@dataclass(frozen=True)
class LBFGS:
    """L-BFGS with a backtracking line search: a trial is accepted if it lowers the loss enough (`line_search.py`)."""

    settings: recipe.LBFGS

    def init(self, image: tf.Tensor) -> LBFGSState:
        """Return the state without pairs, whose first evaluation is of `image` itself."""
        zero = tf.zeros_like(image)
        return LBFGSState(image, image, zero, zero, PairHistory.empty(self.settings.history, image))

    def step(self, state: LBFGSState, loss: tf.Tensor, gradient: tf.Tensor) -> LBFGSState:
        """Return the state with the next direction if the trial is accepted, or else with a shorter step."""
        trial = Trial(state.image, loss, gradient)
        accepted = _accept(state.current, state.gradient, trial, state.history.slots(room_for=1))
        value, decrease, keep, derivative = accepted.report.numpy().tolist()  # waits for a GPU
        if not is_accepted(value, state.loss, decrease):
            return self._reject(replace(state, rejections=state.rejections + 1), value, decrease)
        history = state.history.append(accepted.s, accepted.y, accepted.s_dot_y) if keep else state.history
        next_state = LBFGSState(accepted.image, state.image, gradient, accepted.direction, history, value, 1.0)
        return next_state if keep and derivative < 0 else self._restart_line_search(next_state)

    def back_off(self, state: LBFGSState) -> LBFGSState:
        """Return the state with the trial rejected, regardless of its loss, and half the step."""
        return _with_step_size(replace(state, rejections=state.rejections + 1), state.step_size / 2)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> LBFGSState:
        """Return the state that `arrays()` was called on."""
        names = ("image", "current", "gradient", "direction", "s_dot_y")
        image, current, gradient, direction, s_dot_y = (tf.constant(arrays[name]) for name in names)
        count = sum(name.startswith("s/") for name in arrays)
        s_history, y_history = (
            tuple(tf.constant(arrays[f"{letter}/{index}"]) for index in range(count)) for letter in "sy"
        )
        history = PairHistory(self.settings.history, tf.zeros_like(image), s_dot_y, s_history, y_history)
        loss, step_size, rejections = float(arrays["loss"]), float(arrays["step_size"]), int(arrays["rejections"])
        return LBFGSState(image, current, gradient, direction, history, loss, step_size, rejections)

    def _reject(self, state: LBFGSState, loss: float, decrease: float) -> LBFGSState:
        if state.rejections % MAX_REJECTIONS == 0:
            state = replace(state, history=PairHistory.empty(self.settings.history, state.image))
            return self._restart_line_search(state, 0.1 ** (state.rejections // MAX_REJECTIONS))
        return _with_step_size(state, shorter_step(state.step_size, loss, state.loss, decrease))

    def _restart_line_search(self, state: LBFGSState, step_size: float = 1.0) -> LBFGSState:
        """Start from `current` without a new pair: along -H g, or along -g without pairs or if -H g is not downhill."""
        if state.history.s_history:
            direction, derivative = _direction(state.current, state.gradient, state.history.slots())
            if float(derivative) < 0:  # it can be NaN
                return _with_step_size(replace(state, direction=direction), step_size)
        gradient = _mask_active_bounds(state.gradient, state.current, state.gradient)
        mean = float(tf.reduce_mean(tf.abs(gradient)))
        history = PairHistory.empty(self.settings.history, state.image)
        state = replace(state, history=history, direction=-gradient)
        return _with_step_size(state, step_size * _GRADIENT_STEP / max(mean, 1e-30))


def _with_step_size(state: LBFGSState, step_size: float) -> LBFGSState:
    image = _clipped_step(state.current, state.direction, tf.constant(step_size, tf.float32))
    return replace(state, image=image, step_size=step_size)


@traced
def _accept(x: tf.Tensor, g: tf.Tensor, trial: Trial, slots: Slots) -> AcceptedTrial:
    """Return the update if the trial is accepted; `x` and `g` are the previous accepted image and its gradient."""
    s, y = trial.image - x, trial.gradient - g
    s_all, y_all = stack_on_gpu((*slots.s[1:], s)), stack_on_gpu((*slots.y[1:], y))
    s_dot_y, keep = append_products(slots.s_dot_y, s_all, y, slots.limit)
    direction, derivative = _quasi_newton(trial.image, trial.gradient, s_all, y_all, s_dot_y)
    report = tf.stack([trial.loss, inner_product(g, s), tf.cast(keep, tf.float32), derivative])
    return AcceptedTrial(s, y, s_dot_y, direction, _clipped_step(trial.image, direction, tf.constant(1.0)), report)


@traced
def _direction(x: tf.Tensor, g: tf.Tensor, slots: Slots) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the direction for the existing pairs, and its derivative d^T g."""
    return _quasi_newton(x, g, stack_on_gpu(slots.s), stack_on_gpu(slots.y), slots.s_dot_y)


def _quasi_newton(
    x: tf.Tensor, g: tf.Tensor, s: Vectors, y: Vectors, s_dot_y: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the direction d = -H g over the pixels that are not at an active bound, and d^T g."""

    def apply_h_0(q: tf.Tensor) -> tf.Tensor:
        return apply_initial_hessian(q, s[-LATEST_PAIRS:], y[-LATEST_PAIRS:], s_dot_y[-1, -1])

    h_g = apply_inverse(_mask_active_bounds(g, x, g), s, y, s_dot_y, apply_h_0)
    direction = -_mask_active_bounds(h_g, x, g)
    return direction, inner_product(direction, g)


@fused
def _clipped_step(x: tf.Tensor, direction: tf.Tensor, step_size: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(x + step_size * direction, 0.0, 1.0)


@fused
def _mask_active_bounds(vector: tf.Tensor, x: tf.Tensor, g: tf.Tensor) -> tf.Tensor:
    """Set the vector to 0 where a pixel cannot move against the gradient without leaving [0, 1]."""
    at_active_bound = ((x <= 0) & (g > 0)) | ((x >= 1) & (g < 0))
    return tf.where(at_active_bound, 0.0, vector)
