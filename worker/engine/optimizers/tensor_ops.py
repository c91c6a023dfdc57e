"""Operations on image-sized tensors, in the form that is fastest on a CPU or on a GPU."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias, TypeVar

import tensorflow as tf

Op = TypeVar("Op", bound=Callable[..., Any])
Vectors: TypeAlias = Sequence[tf.Tensor] | tf.Tensor
"""Images (height, width, 3), as a sequence or stacked: see `stack_on_gpu`."""


def traced(op: Op) -> Op:
    """Decorate an operation to be traced as one TensorFlow function, once per shape."""
    function: Op = tf.function(op, autograph=False)
    return function


def fused(op: Op) -> Op:
    """Decorate an operation to be fused into one pass over memory, by XLA on a CPU.

    On a GPU it is unchanged, because XLA would take longer to compile each new size than its kernels could save.
    """
    compiled = tf.function(op, autograph=False, jit_compile=True)

    @wraps(op)
    def call(*arguments: Any) -> Any:
        return op(*arguments) if on_gpu() else compiled(*arguments)

    return call  # type: ignore[return-value]  # of the same signature


def on_gpu() -> bool:
    """Return whether TensorFlow computes on a GPU."""
    return bool(tf.config.list_logical_devices("GPU"))


def stack_on_gpu(vectors: Sequence[tf.Tensor]) -> Vectors:
    """Stack the vectors on a GPU, where a few large kernels are faster than many small ones.

    On a CPU a stack would only add a copy, so they are returned unchanged.
    """
    return tf.stack(vectors) if on_gpu() else vectors


def inner_product(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Return the inner product, a scalar."""
    return tf.reduce_sum(one * other)


def inner_products(vector: tf.Tensor, vectors: Vectors) -> tf.Tensor:
    """Return the inner product with each vector, (count,) float64. Sums are in float32, never in TF32."""
    if tf.is_tensor(vectors):
        by_row = tf.reduce_sum(vector * vectors, axis=[2, 3])  # rows first, for many sums in parallel
        products = tf.reduce_sum(by_row, axis=1)
    else:
        row = tf.reshape(vector, [1, -1])
        products = tf.concat(
            [tf.matmul(row, tf.reshape(other, [1, -1]), transpose_b=True)[0] for other in vectors], axis=0
        )
    return tf.cast(products, tf.float64)


def sum_of_squares(vectors: Vectors) -> tf.Tensor:
    """Return the elementwise sum of the vectors' squares, (height, width, 3)."""
    if tf.is_tensor(vectors):
        return tf.reduce_sum(tf.square(vectors), axis=0)
    return tf.add_n([tf.square(vector) for vector in vectors])


def weighted_sum(vector: tf.Tensor, vectors: Vectors, weights: tf.Tensor) -> tf.Tensor:
    """Return `vector` plus the weighted sum of `vectors`; `weights` are (count,) float64."""
    weights = tf.cast(weights, tf.float32)
    if tf.is_tensor(vectors):
        return vector + tf.reduce_sum(weights[:, tf.newaxis, tf.newaxis, tf.newaxis] * vectors, axis=0)
    return _fused_weighted_sum(vector, vectors, weights)


@fused
def _fused_weighted_sum(vector: tf.Tensor, vectors: Sequence[tf.Tensor], weights: tf.Tensor) -> tf.Tensor:
    for index, other in enumerate(vectors):
        vector += weights[index] * other
    return vector
