"""Passes over image-sized tensors, in the form that is fast on a processor or on a GPU."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias, TypeVar

import tensorflow as tf

Op = TypeVar("Op", bound=Callable[..., Any])
Vectors: TypeAlias = Sequence[tf.Tensor] | tf.Tensor
"""Images (height, width, 3), one by one or stacked: see `for_this_device`."""


def traced(op: Op) -> Op:
    """As one call of TensorFlow, once for each shape."""
    function: Op = tf.function(op, autograph=False)
    return function


def fused(op: Op) -> Op:
    """As one pass over memory: by XLA on a processor.

    On a GPU it stays as it is: XLA would take longer to compile each new size than its kernels could save.
    """
    compiled = tf.function(op, autograph=False, jit_compile=True)

    @wraps(op)
    def call(*arguments: Any) -> Any:
        return op(*arguments) if on_gpu() else compiled(*arguments)

    return call  # type: ignore[return-value]  # of the same signature


def on_gpu() -> bool:
    """Whether TensorFlow computes on one."""
    return bool(tf.config.list_logical_devices("GPU"))


def for_this_device(vectors: Sequence[tf.Tensor]) -> Vectors:
    """On a GPU stacked, since a few large kernels are faster there than many small ones; else as they are.

    On a processor a stack would copy them all for nothing.
    """
    return tf.stack(vectors) if on_gpu() else vectors


def inner(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """A scalar."""
    return tf.reduce_sum(one * other)


def inner_products(vector: tf.Tensor, vectors: Vectors) -> tf.Tensor:
    """With each of them: (count,), float64. Sums are taken in float32, never in TF32."""
    if tf.is_tensor(vectors):
        by_row = tf.reduce_sum(vector * vectors, axis=[2, 3])  # first rows, then columns: many sums at once
        found = tf.reduce_sum(by_row, axis=1)
    else:
        row = tf.reshape(vector, [1, -1])
        each = [tf.matmul(row, tf.reshape(other, [1, -1]), transpose_b=True)[0] for other in vectors]
        found = tf.concat(each, axis=0)
    return tf.cast(found, tf.float64)


def sum_of_squares(vectors: Vectors) -> tf.Tensor:
    """Of all of them, place by place: (height, width, 3)."""
    if tf.is_tensor(vectors):
        return tf.reduce_sum(tf.square(vectors), axis=0)
    return tf.add_n([tf.square(vector) for vector in vectors])


def weighted_sum(vector: tf.Tensor, vectors: Vectors, weights: tf.Tensor) -> tf.Tensor:
    """`vector` plus each of `vectors` times its weight; `weights` are (count,), float64."""
    weights = tf.cast(weights, tf.float32)
    if tf.is_tensor(vectors):
        return vector + tf.reduce_sum(weights[:, tf.newaxis, tf.newaxis, tf.newaxis] * vectors, axis=0)
    return _one_pass(vector, vectors, weights)


@fused
def _one_pass(vector: tf.Tensor, vectors: Sequence[tf.Tensor], weights: tf.Tensor) -> tf.Tensor:
    for index, other in enumerate(vectors):
        vector += weights[index] * other
    return vector
