"""The cache that runs in one process share: networks, traced evaluations, and the Gram matrices of styles.

An evaluation is traced for one shape, which takes seconds. Shapes are never padded to a common one, because that would
change the Gram matrices. On a CPU each evaluation takes about 100 MiB, of which XLA never releases 60. On a CPU without
XLA it was about 5; on a GPU, where XLA compiles nothing, it was not measured. A process should be replaced once it has
traced more evaluations than it caches.
"""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, Literal, TypeVar

import keras
import numpy as np
import tensorflow as tf
from cachetools import LRUCache
from numpy.typing import NDArray

from shared.recipe import Recipe
from worker.engine.image_ops import as_tensor, resize_longest_side
from worker.engine.match_loss import SAMPLES, sample_activations, sample_counts
from worker.engine.model import Features, StyleContentModel, load_vgg19
from worker.engine.objective import GramMatrices, Objective, blend_styles, stack_styles, style_targets
from worker.engine.optimizers.tensor_ops import on_gpu
from worker.engine.regions import Guides, guide_channels
from worker.engine.vgg19.convolution import KernelCache
from worker.engine.vgg19.fast_path import FastPath
from worker.engine.weights.sources import Weights

V = TypeVar("V")
Evaluate = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Maps an image to [total, style, content, total variation, gradient norm] and the gradient of the total."""
PathName = Literal["auto", "reference", "fast"]
"""How to compute an evaluation: by the Keras model or by vgg19/fast_path.py. See docs/decisions/0006-two-paths.md."""

_MAX_NETWORKS: Final = 4  # which share their weights
_MAX_EVALUATIONS: Final = 6  # two runs of three sizes each
_MAX_EVALUATIONS_ON_GPU: Final = 60
_MAX_STYLES: Final = 24  # of 2.4 MB each; 10 MB if all layers have a weight
_MODEL_FIELDS: Final = {"style_layers", "content_layers", "pooling"}
_OBJECTIVE_FIELDS: Final = _MODEL_FIELDS | {
    "style_loss",
    "match_weight",
    "style_weight",
    "content_weight",
    "variation_weight",
    "chroma_variation",
    "normalize",
}


def best_path() -> PathName:
    """Return `reference` on a GPU, else `fast`. See docs/decisions/0006-two-paths.md."""
    return "reference" if on_gpu() else "fast"


class CountingLru(LRUCache[Hashable, V]):
    """An LRU cache with a counter of the values created."""

    created = 0

    def get_or_create(self, key: Hashable, create: Callable[[], V]) -> V:
        """Return the value of `key`. A new value is created after the oldest one is evicted, to save memory."""
        if key not in self:
            while len(self) >= self.maxsize:
                self.popitem()
            self[key] = create()
            self.created += 1
        return self[key]


class Network:
    """A StyleContentModel and its features of images (height, width, 3); traced once for all sizes."""

    def __init__(self, vgg19: keras.Model, kernels: KernelCache, recipe: Recipe) -> None:
        style, content = (
            [layer for layer, weight in layers.items() if weight]
            for layers in (recipe.style_layers, recipe.content_layers)
        )
        match = recipe.match_layers if recipe.match_weight else ()
        self.model = StyleContentModel(vgg19, style, content, recipe.pooling, match_layers=match)
        self.kernels = kernels
        self._gram_matrices = self._trace_features("style")
        self._masked_gram_matrices = tf.function(
            self._features_inside_of_mask, [tf.TensorSpec([None, None, 4])], autograph=False
        )
        self.activations, self._match_activations = self._trace_features("content"), self._trace_features("match")

    def gram_matrices(self, style: tf.Tensor) -> GramMatrices:
        """Return the Gram matrices of a style image; of one with a fourth channel, of the part that this mask shows."""
        compute = self._gram_matrices if style.shape[-1] == 3 else self._masked_gram_matrices  # noqa: PLR2004 - RGB
        matrices: GramMatrices = compute(style)
        return matrices

    def match_samples(self, style: tf.Tensor, count: int) -> dict[str, tf.Tensor]:
        """Return so many activations of a style image by match layer, of what its mask shows if it has one."""
        mask = style[..., 3] if style.shape[-1] > 3 else None  # noqa: PLR2004 - RGB
        activations = self._match_activations(style[..., :3])
        return {layer: sample_activations(maps, mask, count) for layer, maps in activations.items()}

    def _features_inside_of_mask(self, style: tf.Tensor) -> Any:
        image, mask = style[tf.newaxis, ..., :3], style[tf.newaxis, ..., 3:]
        return self.model(image, Guides(guide_channels(mask, self.model.style_layers), shares=tf.ones([1])))["style"]

    def _trace_features(
        self, kind: Literal["style", "content", "match"]
    ) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        def features(image: tf.Tensor) -> Any:
            return self.model(image[tf.newaxis])[kind]

        signature = [tf.TensorSpec([None, None, 3])]
        traced: Callable[..., dict[str, tf.Tensor]] = tf.function(features, signature, autograph=False)
        return traced


class Evaluation:
    """The objective of a recipe, traced for images and targets of one shape."""

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        content: tf.Tensor,
        targets: Features,
        path: PathName,
        *,
        guides: Guides | None = None,
    ) -> None:
        model = FastPath(network.model, network.kernels) if path == "fast" else network.model

        def evaluate(image: tf.Tensor, targets: Features, guides: Guides | None) -> tuple[tf.Tensor, tf.Tensor]:
            return model.losses_and_gradient(image, Objective(recipe, targets, guides), guides)

        specs = [
            tf.nest.map_structure(tf.TensorSpec.from_tensor, part) if part is not None else None
            for part in (content, targets, guides)
        ]
        self._evaluate = tf.function(evaluate, autograph=False).get_concrete_function(*specs)
        if isinstance(model, FastPath):
            model.wait_until_compiled()

    def with_targets(self, targets: Features, guides: Guides | None = None) -> Evaluate:
        """Return the evaluation for these targets, in regions if there are guides."""
        return lambda image: self._evaluate(image, targets, guides)


class Cache:
    """One per process, or one per run to cache nothing between runs."""

    def __init__(self) -> None:
        self._weights: CountingLru[tuple[keras.Model, KernelCache]] = CountingLru(1)
        self._networks: CountingLru[Network] = CountingLru(_MAX_NETWORKS)
        self.evaluations: CountingLru[Evaluation] = CountingLru(
            _MAX_EVALUATIONS_ON_GPU if on_gpu() else _MAX_EVALUATIONS
        )
        self.styles: CountingLru[GramMatrices] = CountingLru(_MAX_STYLES)

    @property
    def needs_restart(self) -> bool:
        """Whether the process should be replaced: it has traced more evaluations than are cached."""
        return self.evaluations.created > self.evaluations.maxsize

    def evaluation(
        self,
        weights: Weights,
        recipe: Recipe,
        content: tf.Tensor,
        styles: Sequence[NDArray[Any]],
        style_sides: Sequence[int],
        *,
        path: PathName = "auto",
        guides: Guides | None = None,
    ) -> Evaluate:
        """Return the evaluation with the targets of `content`, (height, width, 3), and of the styles.

        The styles are images, which are resized to the longest sides `style_sides`. They are blended, or with
        guides each style applies to one region.
        """
        path = best_path() if path == "auto" else path
        network = self._network(weights, recipe)
        if path == "fast":
            network.kernels.create_all(network.model.extractor.layers)
        resized = (resize_longest_side(as_tensor(style), side) for style, side in zip(styles, style_sides, strict=True))
        gram_matrices = [
            self._gram_matrices(weights, recipe, network, style, side)
            for style, side in zip(styles, style_sides, strict=True)
        ]
        style = stack_styles(gram_matrices) if guides else blend_styles(gram_matrices, recipe)
        regions = len(styles) if guides else 0
        targets = {
            "style": style_targets(style, recipe),
            "content": network.activations(content),
            "match": self._match_targets(network, recipe, resized, len(styles), regions=regions > 0),
        }
        key = (*self._key(weights, recipe, _OBJECTIVE_FIELDS), tuple(content.shape), path, regions)
        evaluation = self.evaluations.get_or_create(
            key, lambda: Evaluation(network, recipe, content, targets, path, guides=guides)
        )
        return evaluation.with_targets(targets, guides)

    def _gram_matrices(
        self, weights: Weights, recipe: Recipe, network: Network, style: NDArray[Any], longest_side: int
    ) -> GramMatrices:
        """Return the Gram matrices of a style image at a size, by layer."""
        digest = hashlib.sha256(np.ascontiguousarray(style).data).hexdigest()
        key = (*self._key(weights, recipe, _MODEL_FIELDS), digest, style.shape, str(style.dtype), longest_side)
        return self.styles.get_or_create(
            key, lambda: network.gram_matrices(resize_longest_side(as_tensor(style), longest_side))
        )

    def _match_targets(
        self, network: Network, recipe: Recipe, styles: Iterable[tf.Tensor], count: int, *, regions: bool
    ) -> dict[str, tf.Tensor]:
        """Return the targets of MatchLoss: samples of each style for its region, or of all styles together."""
        if not recipe.match_weight:
            return {}
        counts = [SAMPLES] * count if regions else sample_counts(recipe.shares(count))
        samples = [network.match_samples(*pair) for pair in zip(styles, counts, strict=True)]
        by_layer = {layer: [sample[layer] for sample in samples] for layer in recipe.match_layers}
        combine = tf.stack if regions else lambda parts: tf.concat(parts, axis=0)[tf.newaxis]
        return {layer: combine(parts) for layer, parts in by_layer.items()}

    def _network(self, weights: Weights, recipe: Recipe) -> Network:
        vgg19, kernels = self._weights.get_or_create(
            (weights.path, weights.sha256), lambda: (load_vgg19(weights.path), KernelCache())
        )
        key = self._key(weights, recipe, _MODEL_FIELDS)
        return self._networks.get_or_create(key, lambda: Network(vgg19, kernels, recipe))

    def _key(self, weights: Weights, recipe: Recipe, fields: set[str]) -> tuple[Hashable, ...]:
        return weights.path, weights.sha256, recipe.match_weight > 0, recipe.model_dump_json(include=fields)
