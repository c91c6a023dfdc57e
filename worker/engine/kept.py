"""What a process keeps from run to run: kernels, traced steps, and what it saw in styles.

A step is traced and compiled for one shape, which takes seconds. Shapes are never padded to a common one, since that
would alter the Gram matrices. On a processor each takes about 100 MiB, of which XLA never gives back 60: so a process
that has met more than it keeps is worn, and a fresh one takes over.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared.recipe import Recipe
from worker.engine.kernel_files import KERNEL_SHAPES
from worker.engine.objective import Grams, Objective
from worker.engine.resize import as_tensor, fit
from worker.engine.style_content import Seen, StyleContentModel
from worker.engine.vgg import Layers
from worker.engine.weights import Weights

V = TypeVar("V")
Evaluate = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

_STEPS: Final = 6  # two runs of three sizes each
_STYLES: Final = 24  # of 2.4 MB each, 10 MB where all layers are weighed
_SEEN_THROUGH: Final = {"style_layers", "content_layers", "pooling"}
_JUDGED_BY: Final = _SEEN_THROUGH | {
    "style_weight",
    "content_weight",
    "variation_weight",
    "chroma_variation",
    "normalize",
}


class Recent(Generic[V]):
    """What was asked for last, up to a number of things; `made` counts those that were not there."""

    def __init__(self, most: int) -> None:
        self._most, self.made = most, 0
        self._held: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of a key, made if it must be."""
        if key not in self._held:
            while len(self._held) >= self._most:
                self._held.popitem(last=False)
            self._held[key] = make()
            self.made += 1
        self._held.move_to_end(key)
        return self._held[key]


class Step:
    """Of one recipe's objective at one shape, traced."""

    def __init__(self, recipe: Recipe, layers: Layers, shape: tuple[int, ...], *, whole: bool) -> None:
        """By XLA as a `whole`, which suits GPUs: their operations take less time than it takes to begin them."""
        model = StyleContentModel.plain(recipe, layers) if whole else StyleContentModel.tuned(recipe, layers)
        image = tf.TensorSpec(shape)

        def look(image: tf.Tensor) -> Any:
            return model.glance(image).maps  # its Gram matrices, which nobody asks for here, are never made

        def evaluate(image: tf.Tensor, grams: Any, maps: Any) -> tuple[tf.Tensor, tf.Tensor]:
            return Objective(model, recipe, Seen(grams, maps)).evaluate(image)

        # Both are traced before either runs: meanwhile their passes are compiled on other threads.
        self._look = tf.function(look, autograph=False).get_concrete_function(image)
        grams = {layer: tf.TensorSpec([KERNEL_SHAPES[layer][-1]] * 2) for layer in model.style_layers}
        maps = self._look.structured_outputs
        traced = tf.function(evaluate, autograph=False, jit_compile=True if whole else None)
        self._evaluate = traced.get_concrete_function(image, grams, maps)
        model.compiled()

    def towards(self, grams: Grams, content: tf.Tensor) -> Evaluate:
        """The loss and gradient of an image, with these style targets and this image's content."""
        maps = self._look(content)
        return lambda image: self._evaluate(image, grams, maps)


class Kept:
    """One per process, or per run where nothing is to be kept."""

    def __init__(self) -> None:
        self._layers: Recent[Layers] = Recent(1)
        self.steps: Recent[Step] = Recent(_STEPS)
        self.styles: Recent[Grams] = Recent(_STYLES)

    @property
    def worn(self) -> bool:
        """Whether more steps were traced than are kept."""
        return self.steps.made > _STEPS

    def step(self, weights: Weights, recipe: Recipe, shape: tuple[int, ...]) -> Step:
        """For images (height, width, 3)."""
        key = (*self._key(weights, recipe, _JUDGED_BY), shape)
        whole = bool(tf.config.list_logical_devices("GPU"))
        return self.steps.get(key, lambda: Step(recipe, self._read(weights), shape, whole=whole))

    def grams(self, weights: Weights, recipe: Recipe, style: NDArray[Any], longest: int) -> Grams:
        """The Gram matrices of a style at a size, by layer."""
        digest = hashlib.sha256(np.ascontiguousarray(style).data).hexdigest()
        key = (*self._key(weights, recipe, _SEEN_THROUGH), digest, style.shape, str(style.dtype), longest)
        return self.styles.get(key, lambda: self._look_at(weights, recipe, style, longest))

    def _look_at(self, weights: Weights, recipe: Recipe, style: NDArray[Any], longest: int) -> Grams:
        model = StyleContentModel.plain(recipe, self._read(weights))
        return model.glance(fit(as_tensor(style), longest)).grams

    def _read(self, weights: Weights) -> Layers:
        return self._layers.get((weights.path, weights.sha256), lambda: Layers(weights.path))

    def _key(self, weights: Weights, recipe: Recipe, fields: set[str]) -> tuple[Hashable, ...]:
        return weights.path, weights.sha256, recipe.model_dump_json(include=fields)
