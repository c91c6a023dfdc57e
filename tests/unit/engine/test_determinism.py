"""TensorFlow's settings for reproducible bytes, and the operations that it executes with them."""

import re
from collections import Counter
from pathlib import Path

import tensorflow as tf
from support.small_runs import small
from tensorflow.python.eager import context  # no public API reports the executed graphs

from worker.engine.cache import Evaluation, Network
from worker.engine.determinism import GRAPPLER_PASSES, make_deterministic
from worker.engine.model import load_vgg19
from worker.engine.vgg19.convolution import KernelCache


def test_every_disabled_pass_exists_and_is_disabled() -> None:
    make_deterministic()
    options = tf.config.optimizer.get_experimental_options()
    assert {name: options.get(name) for name in GRAPPLER_PASSES} == dict.fromkeys(GRAPPLER_PASSES, False)
    assert not options["disable_model_pruning"]
    assert not options["disable_meta_optimizer"]


def test_the_reference_computes_no_gradients_of_kernels_or_biases(random_weights: Path) -> None:
    make_deterministic()
    network, image = Network(load_vgg19(random_weights), KernelCache(), small()), tf.zeros([64, 80, 3])
    targets = {"style": network.gram_matrices(image), "content": network.activations(image)}
    evaluate = Evaluation(network, small(), image, targets, "reference").with_targets(targets)
    context.enable_run_metadata()
    evaluate(image)
    metadata = context.export_run_metadata()
    context.disable_run_metadata()
    graphs = (graph for function in metadata.function_graphs for graph in function.partition_graphs)
    # On some CPUs TensorFlow replaces them by oneDNN's operations, such as _MklNativeConv2DWithBias.
    names = (re.sub("^_MklNative|WithBias$", "", node.op) for graph in graphs for node in graph.node)
    counts = Counter(names)
    assert counts["Conv2D"] == counts["Conv2DBackpropInput"] == 4  # down to block2_conv2
    assert counts["Conv2DBackpropFilter"] == counts["BiasAddGrad"] == 0
