"""What TensorFlow is told for the sake of equal bytes, and what it then computes."""

import re
from collections import Counter
from pathlib import Path

import tensorflow as tf
from support.small_runs import small
from tensorflow.python.eager import context  # the only way to see what is executed

from worker.engine.cache import Evaluation, Network
from worker.engine.determinism import GRAPPLER_PASSES, make_deterministic
from worker.engine.model import load_vgg19
from worker.engine.vgg19.convolution import Kernels


def test_every_pass_that_is_switched_off_exists_and_is_off() -> None:
    make_deterministic()
    options = tf.config.optimizer.get_experimental_options()
    assert {name: options.get(name) for name in GRAPPLER_PASSES} == dict.fromkeys(GRAPPLER_PASSES, False)
    assert not options["disable_model_pruning"]
    assert not options["disable_meta_optimizer"]


def test_the_reference_computes_gradients_by_inputs_and_none_by_kernels_or_biases(random_weights: Path) -> None:
    make_deterministic()
    network, image = Network(load_vgg19(random_weights), Kernels(), small()), tf.zeros([64, 80, 3])
    targets = {"style": network.gram_matrices(image), "content": network.activations(image)}
    evaluate = Evaluation(network, small(), image, targets, "reference").towards(targets)
    context.enable_run_metadata()
    evaluate(image)
    executed = context.export_run_metadata()
    context.disable_run_metadata()
    graphs = (graph for function in executed.function_graphs for graph in function.partition_graphs)
    # On some processors TensorFlow puts oneDNN's operations in their place: _MklNativeConv2DWithBias and the like.
    names = (re.sub("^_MklNative|WithBias$", "", node.op) for graph in graphs for node in graph.node)
    found = Counter(names)
    assert found["Conv2D"] == found["Conv2DBackpropInput"] == 4  # down to block2_conv2
    assert found["Conv2DBackpropFilter"] == found["BiasAddGrad"] == 0
