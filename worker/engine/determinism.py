"""TensorFlow's settings for reproducible bytes: between runs and processes, interrupted or not."""

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
"""Passes of Grappler, TensorFlow's graph optimizer, that can be disabled by name."""


def make_deterministic() -> None:
    """Enable deterministic kernels for the whole process, and disable every Grappler pass that can be disabled.

    Some passes change the order of additions between one tracing and the next, and they saved no time. Two stay
    enabled: pruning, which the Keras model needs, and the memory optimizer, which cannot be disabled. Without pruning,
    each evaluation also computes the unused gradients of all kernels, which cost as much as those of the inputs.
    """
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options(dict.fromkeys(GRAPPLER_PASSES, False))
