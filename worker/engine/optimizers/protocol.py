"""What the loop expects of an optimizer: `init`, `step` and `back_off` over explicit, serialisable state.

`state.image` is the next image to evaluate. `step` takes its loss and gradient and returns the next state; where these
are of no use, `back_off` asks for an image half as far from the last accepted one. `state.current` is the picture to
show: the last evaluated image that was accepted. States are immutable, hold everything there is to know, and turn into
flat arrays and back without a loss of bits. Images are (height, width, 3), float32 in [0, 1].
"""

from collections.abc import Mapping
from typing import Any, Protocol

import tensorflow as tf
from numpy.typing import NDArray

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
    """`init`, `step`, `back_off` and `restore`, as Adam and LBFGS have them."""

    def init(self, image: tf.Tensor) -> Any:
        """The state before the first evaluation."""

    def step(self, state: Any, loss: tf.Tensor, gradient: tf.Tensor) -> Any:
        """The state after `state.image` was found to have this loss, a scalar, and this gradient.

        A GPU is waited for once where the image is accepted. If loss or gradient are not finite, the state that is
        returned is of no use.
        """

    def back_off(self, state: Any) -> Any:
        """The state after `state.image` was found to be of no use: `current` stays, the step from it is halved."""

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> Any:
        """The state whose `arrays()` these are. Raises KeyError if they are another optimizer's."""
