"""L-BFGS (Liu and Nocedal 1989) inside [0, 1], by two-metric projection (Bertsekas 1982; Schmidt, Kim, Sra 2011).

Pixels at a bound whose gradient points outward stay; the others move along d = -H g, and the trial is clipped. All that
follows from an evaluation if its image is accepted is one traced function with one report to wait for: a GPU would
otherwise wait longer for its many small operations than it takes to compute them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared import recipe
from worker.engine.optimizers.initial_hessian import LATEST, apply_initial_hessian
from worker.engine.optimizers.lbfgs_hessian import PairHistory, Slots, append_products, apply_inverse
from worker.engine.optimizers.line_search import is_accepted, shorter_step
from worker.engine.optimizers.protocol import Arrays
from worker.engine.optimizers.tensor_ops import Vectors, for_this_device, fused, inner, traced

_FIRST_CHANGE: Final = 0.02  # mean absolute change of a pixel in a step along the plain gradient
REFUSALS_LIMIT: Final = 6
"""Refused trials in a row after which the pairs are dropped."""


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
    loss: float = float("inf")  # infinite until something was evaluated
    step_size: float = 0.0
    refusals: int = 0  # trials since `current` was accepted

    @property
    def accepted(self) -> bool:
        """Whether `current` is the image evaluated last."""
        return self.refusals == 0

    def arrays(self) -> Arrays:
        """All of it, flat; pairs are numbered, oldest first."""
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
            "refusals": np.array(self.refusals),
        }


class Trial(NamedTuple):
    """An image with its loss, a scalar, and its gradient."""

    image: tf.Tensor
    loss: tf.Tensor
    gradient: tf.Tensor


class AcceptedTrial(NamedTuple):
    """What follows from a trial if it is accepted: its pair, a direction, and the first trial along it.

    `report` is [loss, g_k^T s, whether the pair is to be kept, d^T g], float32.
    """

    s: tf.Tensor
    y: tf.Tensor
    s_dot_y: tf.Tensor
    direction: tf.Tensor
    image: tf.Tensor
    report: tf.Tensor


@dataclass(frozen=True)
class LBFGS:
    """A trial is accepted where it lowers the loss enough, else the step becomes shorter (`line_search.py`)."""

    settings: recipe.LBFGS

    def init(self, image: tf.Tensor) -> LBFGSState:
        """No pairs: the first evaluation is of `image` itself."""
        zero = tf.zeros_like(image)
        return LBFGSState(image, image, zero, zero, PairHistory.of(self.settings.history, image))

    def step(self, state: LBFGSState, loss: tf.Tensor, gradient: tf.Tensor) -> LBFGSState:
        """Accept the trial and find the next direction, or try a shorter step."""
        trial = Trial(state.image, loss, gradient)
        accepted = _accept(state.current, state.gradient, trial, state.history.slots(room_for=1))
        value, decrease, keep, derivative = accepted.report.numpy().tolist()  # here a GPU is waited for
        if not is_accepted(value, state.loss, decrease):
            return self._refuse(replace(state, refusals=state.refusals + 1), value, decrease)
        history = state.history.append(accepted.s, accepted.y, accepted.s_dot_y) if keep else state.history
        after = LBFGSState(accepted.image, state.image, gradient, accepted.direction, history, value, 1.0)
        return after if keep and derivative < 0 else self._restart_line(after)

    def back_off(self, state: LBFGSState) -> LBFGSState:
        """A refusal that says nothing about the curvature: the step is halved."""
        return _with_step(replace(state, refusals=state.refusals + 1), state.step_size / 2)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> LBFGSState:
        """The state whose `arrays()` these are."""
        names = ("image", "current", "gradient", "direction", "s_dot_y")
        image, current, gradient, direction, s_dot_y = (tf.constant(arrays[name]) for name in names)
        count = sum(name.startswith("s/") for name in arrays)
        s_history, y_history = (
            tuple(tf.constant(arrays[f"{letter}/{index}"]) for index in range(count)) for letter in "sy"
        )
        history = PairHistory(self.settings.history, tf.zeros_like(image), s_dot_y, s_history, y_history)
        loss, step_size, refusals = float(arrays["loss"]), float(arrays["step_size"]), int(arrays["refusals"])
        return LBFGSState(image, current, gradient, direction, history, loss, step_size, refusals)

    def _refuse(self, state: LBFGSState, loss: float, decrease: float) -> LBFGSState:
        if state.refusals % REFUSALS_LIMIT == 0:
            without = replace(state, history=PairHistory.of(self.settings.history, state.image))
            return self._restart_line(without, 0.1 ** (state.refusals // REFUSALS_LIMIT))
        return _with_step(state, shorter_step(state.step_size, loss, state.loss, decrease))

    def _restart_line(self, state: LBFGSState, step_size: float = 1.0) -> LBFGSState:
        """A direction from `current` without a new pair: -H g, or -g where there are no pairs or H is of no use."""
        if state.history.s_history:
            direction, derivative = _direction(state.current, state.gradient, state.history.slots())
            if float(derivative) < 0:  # it can be NaN
                return _with_step(replace(state, direction=direction), step_size)
        downhill = _movable(state.gradient, state.current, state.gradient)
        mean = float(tf.reduce_mean(tf.abs(downhill)))
        history = PairHistory.of(self.settings.history, state.image)
        return _with_step(
            replace(state, history=history, direction=-downhill), step_size * _FIRST_CHANGE / max(mean, 1e-30)
        )


def _with_step(state: LBFGSState, step_size: float) -> LBFGSState:
    image = _clipped_step(state.current, state.direction, tf.constant(step_size, tf.float32))
    return replace(state, image=image, step_size=step_size)


@traced
def _accept(x: tf.Tensor, g: tf.Tensor, trial: Trial, slots: Slots) -> AcceptedTrial:
    """What follows if the trial is accepted; `x` and `g` are the accepted image before it and its gradient."""
    s, y = trial.image - x, trial.gradient - g
    s_all, y_all = for_this_device((*slots.s[1:], s)), for_this_device((*slots.y[1:], y))
    s_dot_y, keep = append_products(slots.s_dot_y, s_all, y, slots.limit)
    direction, derivative = _quasi_newton(trial.image, trial.gradient, s_all, y_all, s_dot_y)
    report = tf.stack([trial.loss, inner(g, s), tf.cast(keep, tf.float32), derivative])
    return AcceptedTrial(s, y, s_dot_y, direction, _clipped_step(trial.image, direction, tf.constant(1.0)), report)


@traced
def _direction(x: tf.Tensor, g: tf.Tensor, slots: Slots) -> tuple[tf.Tensor, tf.Tensor]:
    """By the pairs that there are."""
    return _quasi_newton(x, g, for_this_device(slots.s), for_this_device(slots.y), slots.s_dot_y)


def _quasi_newton(
    x: tf.Tensor, g: tf.Tensor, s: Vectors, y: Vectors, s_dot_y: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The direction d = -H g over the pixels that can move, and d^T g."""

    def initial(q: tf.Tensor) -> tf.Tensor:
        return apply_initial_hessian(q, s[-LATEST:], y[-LATEST:], s_dot_y[-1, -1])

    direction = -_movable(apply_inverse(_movable(g, x, g), s, y, s_dot_y, initial), x, g)
    return direction, inner(direction, g)


@fused
def _clipped_step(x: tf.Tensor, direction: tf.Tensor, step_size: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(x + step_size * direction, 0.0, 1.0)


@fused
def _movable(vector: tf.Tensor, x: tf.Tensor, g: tf.Tensor) -> tf.Tensor:
    """The vector, but 0 where a pixel cannot move against the gradient without leaving [0, 1]."""
    held = ((x <= 0) & (g > 0)) | ((x >= 1) & (g < 0))
    return tf.where(held, 0.0, vector)
