"""TensorFlow's settings for equal bytes: from run to run, from process to process, interrupted or not."""

from typing import Final

import tensorflow as tf

_GRAPPLER: Final = (
    "arithmetic_optimization",
    "auto_mixed_precision",
    "common_subgraph_elimination",
    "constant_folding",
    "debug_stripper",
    "dependency_optimization",
    "function_optimization",
    "implementation_selector",
    "layout_optimizer",
    "loop_optimization",
    "pin_to_host_optimization",
    "remapping",
    "scoped_allocator_optimization",
    "shape_optimization",
)
"""Passes of TensorFlow's graph optimizer. Some add in another order from one tracing to the next, and saved nothing."""


def make_deterministic() -> None:
    """For the whole process: deterministic kernels, and of the graph optimizer only the pruning of dead nodes.

    That one is needed: the gradient of a convolution by its kernel, which nobody asks for, is in every traced graph of
    the Keras model, and is as much work as the gradient by its input.
    """
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options(dict.fromkeys(_GRAPPLER, False))
