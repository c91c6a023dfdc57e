"""Adam and L-BFGS behind one contract over explicit state.

Both are asked and told: `state.image` is the next image to evaluate, `step` is told its loss and gradient and
returns the next state; where these are of no use, `retreat` asks for an image half as far from the last accepted one.
`state.current` is the picture to show: the last evaluated image that was accepted. States are immutable, hold
everything there is to know, and turn into flat arrays and back without a loss of bits.
Images are (height, width, 3), float32 in [0, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared import recipe as knobs
from worker.engine.curvature import Secants, compiled, inner

Arrays = dict[str, NDArray[Any]]


class OptimizerState(Protocol):
    """What the loop reads of a state."""

    @property
    def image(self) -> tf.Tensor:
        """The next image to evaluate."""

    @property
    def current(self) -> tf.Tensor:
        """The picture to show."""

    @property
    def accepted(self) -> bool:
        """Whether `current` is the image evaluated last."""

    def arrays(self) -> Arrays:
        """All of it, flat; read-only views of the tensors where these are in the processor's memory, not copies."""


class Optimizer(Protocol):
    """The contract."""

    def init(self, image: tf.Tensor) -> Any:
        """The state before the first evaluation."""

    def step(self, state: Any, loss: float, gradient: tf.Tensor) -> Any:
        """The state after `state.image` was found to have this loss and gradient, both finite."""

    def retreat(self, state: Any) -> Any:
        """The state after `state.image` was found to be of no use: `current` stays, and the step to it is halved."""

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> Any:
        """The state whose `arrays()` these are."""


def optimizer_for(settings: knobs.Adam | knobs.LBFGS) -> Optimizer:
    """The optimiser that a recipe names."""
    return Adam(settings) if isinstance(settings, knobs.Adam) else LBFGS(settings)


@dataclass(frozen=True)
class AdamState:
    """`mean` and `square` are the running moments of the gradient; `pace` is what is left of the learning rate."""

    image: tf.Tensor
    current: tf.Tensor
    mean: tf.Tensor
    square: tf.Tensor
    updates: int = 0
    pace: float = 1.0
    accepted: bool = True

    def arrays(self) -> Arrays:
        """All of it, flat."""
        tensors = {"image": self.image, "current": self.current, "mean": self.mean, "square": self.square}
        return {name: np.asarray(tensor) for name, tensor in tensors.items()} | {
            "updates": np.array(self.updates),
            "pace": np.array(self.pace),
            "accepted": np.array(self.accepted),
        }


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba 2015, as Keras has it (epsilon outside the bias correction), clipped to [0, 1] after each step."""

    settings: knobs.Adam

    def init(self, image: tf.Tensor) -> AdamState:
        """No moments yet."""
        zero = tf.zeros_like(image)
        return AdamState(image, image, zero, zero)

    def step(self, state: AdamState, loss: float, gradient: tf.Tensor) -> AdamState:  # noqa: ARG002 - the contract's
        """Every evaluated image is accepted: Adam does not look at the loss."""
        knob, t = self.settings, state.updates + 1
        mean = state.mean + (gradient - state.mean) * (1 - knob.beta1)
        square = state.square + (tf.square(gradient) - state.square) * (1 - knob.beta2)
        rate = state.pace * knob.learning_rate * (1 - knob.beta2**t) ** 0.5 / (1 - knob.beta1**t)
        image = state.image - rate * mean / (tf.sqrt(square) + knob.epsilon)
        return AdamState(tf.clip_by_value(image, 0.0, 1.0), state.image, mean, square, t, state.pace)

    def retreat(self, state: AdamState) -> AdamState:
        """Half the way, as half the rate would have gone, and half the rate from now on; the moments stay."""
        image = (state.current + state.image) / 2
        return replace(state, image=image, pace=state.pace / 2, accepted=False)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> AdamState:
        """The state whose `arrays()` these are."""
        image, current, mean, square = (tf.constant(arrays[name]) for name in ("image", "current", "mean", "square"))
        updates, pace, accepted = int(arrays["updates"]), float(arrays["pace"]), bool(arrays["accepted"])
        return AdamState(image, current, mean, square, updates, pace, accepted)


@dataclass(frozen=True)
class LBFGSState:
    """`current` with its `loss` and `gradient` is the last accepted point; `image` lies `length` along `direction`."""

    image: tf.Tensor
    current: tf.Tensor
    gradient: tf.Tensor
    direction: tf.Tensor
    secants: Secants
    loss: float = float("inf")  # of `current`; infinite until something was evaluated
    length: float = 0.0
    refused: int = 0  # trials since `current` was accepted

    @property
    def accepted(self) -> bool:
        """Whether `current` is the image evaluated last."""
        return self.refused == 0

    def arrays(self) -> Arrays:
        """All of it, flat; the secants are numbered, oldest first."""
        tensors = {
            "image": self.image,
            "current": self.current,
            "gradient": self.gradient,
            "direction": self.direction,
            **{f"moved/{place}": moved for place, moved in enumerate(self.secants.moved)},
            **{f"bent/{place}": bent for place, bent in enumerate(self.secants.bent)},
        }
        return {name: np.asarray(tensor) for name, tensor in tensors.items()} | {
            "loss": np.array(self.loss),
            "length": np.array(self.length),
            "refused": np.array(self.refused),
        }


@dataclass(frozen=True)
class LBFGS:
    """Liu and Nocedal 1989, kept inside [0, 1] by projection (Schmidt et al. 2009, "projected quasi-Newton").

    Pixels at a bound whose gradient points outward rest; the others move along the quasi-Newton direction, clipped.
    A trial is accepted where it lowers the loss enough (Armijo 1966), else the length shrinks by quadratic
    interpolation. The search keeps no memory but the state, so a run can be cut between any two evaluations.
    """

    settings: knobs.LBFGS
    sufficient: float = 1e-4  # of the decrease that the slope promises
    first_change: float = 0.02  # mean absolute change of a pixel in a step along the plain gradient
    patience: int = 6  # refusals after which the curvature is forgotten

    def init(self, image: tf.Tensor) -> LBFGSState:
        """Nothing is known: the first evaluation is of `image` itself."""
        zero = tf.zeros_like(image)
        return LBFGSState(image, image, zero, zero, self._nothing_known())

    def step(self, state: LBFGSState, loss: float, gradient: tf.Tensor) -> LBFGSState:
        """Accept the trial and set out anew, or try a shorter way."""
        expected = _dot(state.gradient, state.image - state.current)
        if loss <= state.loss + self.sufficient * expected:
            secants = self._remember(state, gradient)
            return self._set_out(LBFGSState(state.image, state.image, gradient, gradient, secants, loss))
        refused = replace(state, refused=state.refused + 1)
        if refused.refused % self.patience == 0:
            forgetful = replace(refused, secants=self._nothing_known())
            return self._set_out(forgetful, shrink=0.1 ** (refused.refused // self.patience))
        return self._shorten(refused, loss, expected)

    def retreat(self, state: LBFGSState) -> LBFGSState:
        """A refusal that tells nothing about the curvature: the trial is half as long."""
        return _at(replace(state, refused=state.refused + 1), state.length / 2)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> LBFGSState:
        """The state whose `arrays()` these are."""
        names = ("image", "current", "gradient", "direction")
        image, current, gradient, direction = (tf.constant(arrays[name]) for name in names)
        secants = self._nothing_known()
        for place in range(sum(name.startswith("moved/") for name in arrays)):
            secants = secants.learned(tf.constant(arrays[f"moved/{place}"]), tf.constant(arrays[f"bent/{place}"]))
        loss, length, refused = float(arrays["loss"]), float(arrays["length"]), int(arrays["refused"])
        return LBFGSState(image, current, gradient, direction, secants, loss, length, refused)

    def _nothing_known(self) -> Secants:
        return Secants(self.settings.history)

    def _remember(self, state: LBFGSState, gradient: tf.Tensor) -> Secants:
        """The secants with the newest one, if there was an image before."""
        if state.loss == float("inf"):
            return state.secants
        return state.secants.learned(state.image - state.current, gradient - state.gradient)

    def _set_out(self, state: LBFGSState, shrink: float = 1.0) -> LBFGSState:
        """A fresh direction from `current`: quasi-Newton, or scaled steepest descent where no curvature is known."""
        downhill = _free(state.gradient, state.current, state.gradient)
        direction = -_free(state.secants.inverse(downhill), state.current, state.gradient)
        if not state.secants.moved or not _dot(direction, state.gradient) < 0:  # it can be NaN
            scale = float(tf.reduce_mean(tf.abs(downhill)))
            fresh = replace(state, secants=self._nothing_known(), direction=-downhill)
            return _at(fresh, shrink * self.first_change / max(scale, 1e-30))
        return _at(replace(state, direction=direction), shrink)

    def _shorten(self, state: LBFGSState, loss: float, expected: float) -> LBFGSState:
        """The least of the parabola through what is known, kept between a tenth and a half of the present length."""
        curvature = 2 * (loss - state.loss - expected)
        factor = -expected / curvature if curvature > 0 else 0.5
        return _at(state, state.length * min(max(factor, 0.1), 0.5))


def _at(state: LBFGSState, length: float) -> LBFGSState:
    image = _moved(state.current, state.direction, tf.constant(length, tf.float32))
    return replace(state, image=image, length=length)


@compiled
def _moved(image: tf.Tensor, direction: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(image + length * direction, 0.0, 1.0)


@compiled
def _free(vector: tf.Tensor, image: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """The vector, but 0 where a pixel cannot move against the gradient without leaving [0, 1]."""
    held = ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))
    return tf.where(held, 0.0, vector)


def _dot(one: tf.Tensor, other: tf.Tensor) -> float:
    return float(inner(one, other))
