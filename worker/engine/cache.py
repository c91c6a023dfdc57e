"""What a process keeps from run to run: networks, traced evaluations, and the Gram matrices of styles.

An evaluation is traced for one shape, which takes seconds. Shapes are never padded to a common one, since that would
alter the Gram matrices. On a processor each takes about 100 MiB, of which XLA never gives back 60. On a GPU, where XLA
compiles nothing, it was not measured; on a processor without XLA it was about 5. A process that has met more shapes
than it keeps should be replaced by a fresh one.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, Literal, TypeVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared.recipe import Recipe
from worker.engine.image_ops import as_tensor, fit
from worker.engine.model import Features, StyleContentModel, load_vgg19
from worker.engine.objective import GramMatrices, Objective, blend_styles
from worker.engine.optimizers.tensor_ops import on_gpu
from worker.engine.vgg19.convolution import Kernels
from worker.engine.vgg19.fast_path import FastPath
from worker.engine.weights.sources import Weights

V = TypeVar("V")
Evaluate = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""From an image to [total, style, content, total variation, gradient norm] and the gradient of the total."""
PathName = Literal["auto", "reference", "fast"]
"""How an evaluation is computed: by the Keras model itself, or by vgg19/fast_path.py. See docs/decisions/0006."""

_NETWORKS: Final = 4  # of the same weights, which they share
_EVALUATIONS: Final = 6  # two runs of three sizes each
_EVALUATIONS_ON_GPU: Final = 60
_STYLES: Final = 24  # of 2.4 MB each, 10 MB where all layers have a weight
_MODEL_FIELDS: Final = {"style_layers", "content_layers", "pooling"}
_OBJECTIVE_FIELDS: Final = _MODEL_FIELDS | {
    "style_weight",
    "content_weight",
    "variation_weight",
    "chroma_variation",
    "normalize",
}


def best_path() -> PathName:
    """The model itself on a GPU, else the fast path: docs/decisions/0006-two-paths.md."""
    return "reference" if on_gpu() else "fast"


class Lru(Generic[V]):
    """The values used last, up to a number of them; `made` counts those that were not there."""

    def __init__(self, limit: int) -> None:
        self.limit, self.made = limit, 0
        self._values: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of a key, made if it must be."""
        if key not in self._values:
            while len(self._values) >= self.limit:
                self._values.popitem(last=False)
            self._values[key] = make()
            self.made += 1
        self._values.move_to_end(key)
        return self._values[key]


class Network:
    """A StyleContentModel with its features of images (height, width, 3) of any size, each traced once."""

    def __init__(self, vgg19: keras.Model, kernels: Kernels, recipe: Recipe) -> None:
        style, content = (
            [layer for layer, weight in layers.items() if weight]
            for layers in (recipe.style_layers, recipe.content_layers)
        )
        self.model, self.kernels = StyleContentModel(vgg19, style, content, recipe.pooling), kernels
        self.gram_matrices = self._traced("style")
        self.activations = self._traced("content")

    def _traced(self, kind: Literal["style", "content"]) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        def features(image: tf.Tensor) -> Any:
            return self.model(image[tf.newaxis])[kind]

        signature = [tf.TensorSpec([None, None, 3])]
        traced: Callable[..., dict[str, tf.Tensor]] = tf.function(features, signature, autograph=False)
        return traced


class Evaluation:
    """One recipe's objective at one shape, traced for images and targets of these shapes."""

    def __init__(self, network: Network, recipe: Recipe, content: tf.Tensor, targets: Features, path: PathName) -> None:
        model = FastPath(network.model, network.kernels) if path == "fast" else network.model

        def evaluate(image: tf.Tensor, targets: Features) -> tuple[tf.Tensor, tf.Tensor]:
            return model.losses_and_gradient(image, Objective(recipe, targets))

        self._evaluate = tf.function(evaluate, autograph=False).get_concrete_function(
            tf.TensorSpec.from_tensor(content), tf.nest.map_structure(tf.TensorSpec.from_tensor, targets)
        )
        if isinstance(model, FastPath):
            model.wait_until_compiled()

    def towards(self, targets: Features) -> Evaluate:
        """The losses and the gradient of an image, with these targets."""
        return lambda image: self._evaluate(image, targets)


class Cache:
    """One per process, or per run where nothing is to be kept."""

    def __init__(self) -> None:
        self._weights: Lru[tuple[keras.Model, Kernels]] = Lru(1)
        self._networks: Lru[Network] = Lru(_NETWORKS)
        self.evaluations: Lru[Evaluation] = Lru(_EVALUATIONS_ON_GPU if on_gpu() else _EVALUATIONS)
        self.styles: Lru[GramMatrices] = Lru(_STYLES)

    @property
    def needs_restart(self) -> bool:
        """Whether more evaluations were traced than are kept."""
        return self.evaluations.made > self.evaluations.limit

    def evaluation(
        self, weights: Weights, recipe: Recipe, content: tf.Tensor, styles: list[GramMatrices], path: PathName = "auto"
    ) -> Evaluate:
        """Towards the activations of `content`, (height, width, 3), and the blended Gram matrices of `styles`."""
        path = best_path() if path == "auto" else path
        network = self._network(weights, recipe)
        targets = {"style": blend_styles(styles, recipe), "content": network.activations(content)}
        key = (*self._key(weights, recipe, _OBJECTIVE_FIELDS), tuple(content.shape), path)
        return self.evaluations.get(key, lambda: Evaluation(network, recipe, content, targets, path)).towards(targets)

    def style(self, weights: Weights, recipe: Recipe, style: NDArray[Any], longest: int) -> GramMatrices:
        """The Gram matrices of a style at a size, by layer."""
        digest = hashlib.sha256(np.ascontiguousarray(style).data).hexdigest()
        key = (*self._key(weights, recipe, _MODEL_FIELDS), digest, style.shape, str(style.dtype), longest)
        network = self._network(weights, recipe)
        return self.styles.get(key, lambda: network.gram_matrices(fit(as_tensor(style), longest)))

    def _network(self, weights: Weights, recipe: Recipe) -> Network:
        vgg19, kernels = self._weights.get(
            (weights.path, weights.sha256), lambda: (load_vgg19(weights.path), Kernels())
        )
        key = self._key(weights, recipe, _MODEL_FIELDS)
        return self._networks.get(key, lambda: Network(vgg19, kernels, recipe))

    def _key(self, weights: Weights, recipe: Recipe, fields: set[str]) -> tuple[Hashable, ...]:
        return weights.path, weights.sha256, recipe.model_dump_json(include=fields)
