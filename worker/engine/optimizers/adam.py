"""Adam (Kingma and Ba, ICLR 2015) as implemented by Keras, with images clipped to [0, 1]."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared import recipe
from worker.engine.optimizers.protocol import Arrays
from worker.engine.optimizers.tensor_ops import traced


@dataclass(frozen=True)
class AdamState:
    """`m` and `v` are the running moments m_t and v_t of the gradient g_t, `updates` is t.

    `rate_factor` in (0, 1] is the factor by which backing off has reduced the learning rate.
    """

    image: tf.Tensor
    current: tf.Tensor
    m: tf.Tensor
    v: tf.Tensor
    updates: int = 0
    rate_factor: float = 1.0
    accepted: bool = True

    def arrays(self) -> Arrays:
        """Return the state as a flat dict."""
        tensors = {"image": self.image, "current": self.current, "m": self.m, "v": self.v}
        return {name: np.asarray(tensor) for name, tensor in tensors.items()} | {
            "updates": np.array(self.updates),
            "rate_factor": np.array(self.rate_factor),
            "accepted": np.array(self.accepted),
        }


@dataclass(frozen=True)
class Adam:
    """m_t = b1 m_(t-1) + (1 - b1) g_t, v_t = b2 v_(t-1) + (1 - b2) g_t^2, x_t = x_(t-1) - a_t m_t / (sqrt(v_t) + eps).

    a_t = a sqrt(1 - b2^t) / (1 - b1^t): the efficient form at the end of the paper's section 2, whose eps is outside
    the bias correction. Each x_t is clipped to [0, 1].
    """

    settings: recipe.Adam

    def init(self, image: tf.Tensor) -> AdamState:
        """Return the state before the first evaluation: m_0 = v_0 = 0."""
        zero = tf.zeros_like(image)
        return AdamState(image, image, zero, zero)

    def step(self, state: AdamState, loss: tf.Tensor, gradient: tf.Tensor) -> AdamState:  # noqa: ARG002 - the protocol's
        """Return the state after an update. Every evaluated image is accepted: Adam does not use the loss."""
        settings, t = self.settings, state.updates + 1
        rate = state.rate_factor * settings.learning_rate * (1 - settings.beta2**t) ** 0.5 / (1 - settings.beta1**t)
        coefficients = tf.constant([1 - settings.beta1, 1 - settings.beta2, rate, settings.epsilon], tf.float32)
        image, m, v = _update(state.image, state.m, state.v, gradient, coefficients)
        return AdamState(image, state.image, m, v, t, state.rate_factor)

    def back_off(self, state: AdamState) -> AdamState:
        """Return the state with half the last step, as with half the rate, and half the rate from now on."""
        image = (state.current + state.image) / 2
        return replace(state, image=image, rate_factor=state.rate_factor / 2, accepted=False)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> AdamState:
        """Return the state that `arrays()` was called on."""
        image, current, m, v = (tf.constant(arrays[name]) for name in ("image", "current", "m", "v"))
        updates, factor, accepted = int(arrays["updates"]), float(arrays["rate_factor"]), bool(arrays["accepted"])
        return AdamState(image, current, m, v, updates, factor, accepted)


@traced
def _update(
    x: tf.Tensor, m: tf.Tensor, v: tf.Tensor, g: tf.Tensor, coefficients: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    one_minus_b1, one_minus_b2, rate, epsilon = tf.unstack(coefficients)
    m += (g - m) * one_minus_b1
    v += (tf.square(g) - v) * one_minus_b2
    return tf.clip_by_value(x - rate * m / (tf.sqrt(v) + epsilon), 0.0, 1.0), m, v
