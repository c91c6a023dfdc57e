"""TensorFlow's settings for equal bytes: from run to run, from process to process, interrupted or not."""

from typing import Final

import tensorflow as tf

GRAPPLER_PASSES: Final = (
    "arithmetic_optimization",
    "auto_mixed_precision",
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
"""Passes of Grappler, TensorFlow's graph optimizer, that can be switched off by name."""


def make_deterministic() -> None:
    """For the whole process: deterministic kernels, and no pass of Grappler that can be switched off.

    Some of them add in another order from one tracing to the next, and they saved nothing. What stays on is pruning,
    which the Keras model needs, and the memory optimizer, which has no switch. Without pruning each evaluation also
    computes the gradients by all kernels, which are not used and are as much work as those by the inputs.
    """
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options(dict.fromkeys(GRAPPLER_PASSES, False))
