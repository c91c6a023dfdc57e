"""`python -m benchmarks.gpu.variant NAME WIDTH FOLDER`: one variant of an evaluation, as a peer.

The first response comes once the network is loaded and the targets are computed. The second one is the loss of the
first call, which includes all tracing, and the following ones are the losses of later calls. The gradient is saved as
FOLDER/NAME.npy. On a GPU the engine runs `reference`.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import keras
import numpy as np
import tensorflow as tf

from benchmarks.engine.workload import Workload, best_weights
from benchmarks.processes import Step, serve
from worker.devices.device import configure_tensorflow
from worker.engine.cache import Network
from worker.engine.determinism import GRAPPLER_PASSES
from worker.engine.model import LossFunction, StyleContentModel, load_vgg19
from worker.engine.objective import Objective
from worker.engine.vgg19.convolution import KernelCache
from worker.engine.vgg19.fast_path import FastPath


class Model(Protocol):
    """The reference or a replacement for it."""

    def losses_and_gradient(self, image: tf.Tensor, losses: LossFunction) -> tuple[tf.Tensor, tf.Tensor]:
        """See StyleContentModel."""


def _reference(network: Network, _: Path) -> Model:
    return network.model


def _fast(network: Network, _: Path) -> Model:
    return FastPath(network.model, network.kernels)


def _fast_uncompiled(network: Network, _: Path) -> Model:
    return FastPath(network.model, network.kernels, compiled=False)


def _in_bfloat16(network: Network, weights: Path) -> Model:
    """Run convolutions in bfloat16 (Keras' mixed precision); cast activations to float32 for everything else."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    vgg19 = load_vgg19(weights)
    keras.config.set_dtype_policy("float32")
    model = _copy_model(network.model, vgg19)
    model.extractor = keras.Model(
        model.extractor.inputs,
        {name: keras.layers.Activation("linear", dtype="float32")(x) for name, x in model.extractor.output.items()},
    )
    return model


def _channels_first(network: Network, weights: Path) -> Model:
    """Run the network in (batch, channels, height, width); images and features keep channels last."""
    model = _copy_model(network.model, load_vgg19(weights))
    keras.config.set_image_data_format("channels_first")
    vgg19 = load_vgg19(weights)
    images, outputs = keras.Input((None, None, 3)), {}
    features = keras.layers.Permute((3, 1, 2))(images)
    for layer in model.extractor.layers[1:]:  # the first is the input
        features = vgg19.get_layer(layer.name)(features)
        if layer.name in model.extractor.output:
            outputs[layer.name] = keras.layers.Permute((2, 3, 1))(features)
    model.extractor = keras.Model(images, outputs)
    return model


def _copy_model(model: StyleContentModel, vgg19: keras.Model) -> StyleContentModel:
    """Return a model with the same layers and pooling, whose extractor may be replaced."""
    return StyleContentModel(vgg19, model.style_layers, model.content_layers, model.pooling)


_PRUNED: Final = dict.fromkeys(GRAPPLER_PASSES, False)
_GRAPPLER_OPTIONS: Final[dict[str, dict[str, bool]]] = {
    "pruning": _PRUNED,
    "off": {"disable_meta_optimizer": True},
    "remapper": _PRUNED | {"remapping": True},
    "on": {},
}
"""Settings of TensorFlow's graph optimizer: options of `tf.config.optimizer.set_experimental_options`."""


@dataclass(frozen=True)
class Variant:
    """The setup of TensorFlow and the traced model. The defaults are the engine's."""

    model: Callable[[Network, Path], Model] = _reference
    deterministic: bool = True
    grappler: str = "pruning"
    inter_op_threads: int = 1  # 0 is TensorFlow's default, one per core
    jit_compile: bool | None = None
    needs_gpu: bool = False

    def set_up(self) -> None:
        """Configure TensorFlow; must run before it computes anything."""
        configure_tensorflow(0)
        tf.config.threading.set_inter_op_parallelism_threads(self.inter_op_threads)
        if self.deterministic:
            tf.config.experimental.enable_op_determinism()
        tf.config.optimizer.set_experimental_options(_GRAPPLER_OPTIONS[self.grappler])


VARIANTS: Final = {
    "reference": Variant(),
    "fast": Variant(_fast),
    "fast_uncompiled": Variant(_fast_uncompiled),
    "reference_nondeterministic": Variant(deterministic=False),
    "reference_unpruned": Variant(grappler="off"),
    "reference_grappler": Variant(grappler="on"),
    "reference_remapper_only": Variant(grappler="remapper"),
    "reference_jit": Variant(jit_compile=True, deterministic=False),  # XLA has no deterministic gradient of max-pooling
    "reference_bfloat16": Variant(_in_bfloat16),
    "reference_nchw": Variant(_channels_first, needs_gpu=True),
    "reference_inter_op_default": Variant(inter_op_threads=0),
}


def _create_step(name: str, width: int, folder: Path) -> Step:
    VARIANTS[name].set_up()
    responses = _responses(VARIANTS[name], Workload(width, best_weights()), folder / f"{name}.npy")
    return lambda: next(responses)


def _responses(variant: Variant, workload: Workload, file: Path) -> Iterator[float]:
    network = Network(load_vgg19(workload.weights.path), KernelCache(), workload.recipe)
    content, style = map(tf.constant, workload.float_images())
    targets = {"style": network.gram_matrices(style), "content": network.activations(content)}
    noise = np.random.default_rng(0).random(content.shape, np.float32)
    image = 0.8 * content + 0.2 * tf.constant(noise)  # where every loss has a gradient
    model = variant.model(network, workload.weights.path)
    yield 0.0

    def evaluate(image: tf.Tensor, targets: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return model.losses_and_gradient(image, Objective(workload.recipe, targets))

    function = tf.function(evaluate, autograph=False, jit_compile=variant.jit_compile)
    traced = function.get_concrete_function(image, targets)
    if isinstance(model, FastPath):
        model.wait_until_compiled()
    losses, gradient = traced(image, targets)
    yield float(losses[0])
    np.save(file, gradient)
    while True:
        yield float(traced(image, targets)[0][0])


if __name__ == "__main__":
    serve(lambda: _create_step(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
