"""The protocol of optimizers: `init`, `step` and `back_off` over explicit, serializable state.

`state.image` is the next image to evaluate. `step` takes its loss and gradient and returns the next state. If these are
unusable, `back_off` returns a state whose image is half as far from the last accepted one. `state.current` is the image
to show: the last evaluated image that was accepted. States are immutable and complete, and convert to flat arrays and
back without a loss of bits. Images are (height, width, 3), float32 in [0, 1].
"""

from collections.abc import Mapping
from typing import Any, Protocol

import tensorflow as tf
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class OptimizerState(Protocol):
    """The attributes of a state that runs use."""

    @property
    def image(self) -> tf.Tensor:
        """The next image to evaluate."""

    @property
    def current(self) -> tf.Tensor:
        """The image to show."""

    @property
    def accepted(self) -> bool:
        """Whether `current` is the image evaluated last."""

    def arrays(self) -> Arrays:
        """Return the state as a flat dict; read-only views, not copies, of tensors in host memory."""


class Optimizer(Protocol):
    """The methods of Adam and LBFGS."""

    def init(self, image: tf.Tensor) -> Any:
        """Return the state before the first evaluation."""

    def step(self, state: Any, loss: tf.Tensor, gradient: tf.Tensor) -> Any:
        """Return the state after `state.image` was evaluated to this loss, a scalar, and this gradient.

        Waits for a GPU once if the image is accepted. If loss or gradient are not finite, the returned state must not
        be used.
        """

    def back_off(self, state: Any) -> Any:
        """Return the state after an unusable evaluation: `current` stays, and the step from it is halved."""

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> Any:
        """Return the state that `arrays()` was called on. Raises KeyError if it belongs to another optimizer."""
