"""Every kind of out-of-memory error, in every part of a run, becomes one error with advice."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support.small_runs import run, small

from shared.errors import OutOfMemory
from worker.engine.cache import Cache
from worker.engine.model import Features
from worker.engine.objective import Objective
from worker.engine.optimizers import LBFGS
from worker.engine.out_of_memory import translate_out_of_memory
from worker.engine.stylize import _Run
from worker.engine.weights.sources import Weights

LOSSES = Objective.__call__
SHAPE = (10**8, 10**8)  # 40 petabytes, so every machine fails to allocate them


def allocate(*_: Any, **__: Any) -> Any:
    return np.empty(SHAPE, np.float32)


def allocate_in_graph(objective: Objective, image: tf.Tensor, features: Features) -> Any:
    """Fail in the evaluation, not while it is traced, with the error that TensorFlow makes of it.

    An operation of TensorFlow itself would wait 10 seconds for memory before each failure, also in its gradient.
    """
    tf.numpy_function(allocate, [], tf.float32)
    return LOSSES(objective, image, features)


@pytest.mark.parametrize(
    ("part", "method", "failing"),
    [
        (_Run, "__init__", allocate),
        (Cache, "evaluation", allocate),
        (LBFGS, "step", allocate),
        (Objective, "__call__", allocate_in_graph),
    ],
)
def test_an_out_of_memory_error_in_any_part_of_a_run_advises_a_smaller_size(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, part: type, method: str, failing: Callable[..., Any]
) -> None:
    monkeypatch.setattr(part, method, failing)
    with pytest.raises(OutOfMemory, match=r"80 pixels .* smaller `size`") as raised:
        run(weights, small(), cache=Cache(), path="reference")
    assert isinstance(raised.value.__cause__, (MemoryError, tf.errors.ResourceExhaustedError))


def allocate_in_tensorflow(objective: Objective, image: tf.Tensor, features: Features) -> Any:
    """The tensor depends on the image, so that it is allocated in the evaluation and not while that is traced."""
    return LOSSES(objective, image, features) + tf.stop_gradient(tf.fill(SHAPE, image[0, 0, 0]))[0, :4]


@pytest.mark.slow  # TensorFlow waits ten seconds for memory
def test_a_failed_allocation_of_tensorflow_on_the_fast_path_advises_a_smaller_size(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Objective, "__call__", allocate_in_tensorflow)
    with pytest.raises(OutOfMemory, match=r"80 pixels .* smaller `size`") as raised:
        run(weights, small(), cache=Cache(), path="fast")
    assert isinstance(raised.value.__cause__, tf.errors.ResourceExhaustedError)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA_ERROR_OUT_OF_MEMORY",
        "failed to allocate 2.00GiB: out of memory",
        "OOM when allocating tensor",
        "cuBLAS handle: CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_an_out_of_memory_error_of_a_gpu_is_recognized_by_its_message(message: str) -> None:
    with pytest.raises(OutOfMemory), translate_out_of_memory(512):
        raise tf.errors.InternalError(None, None, message)


def test_other_errors_of_tensorflow_are_not_translated() -> None:
    with pytest.raises(tf.errors.InternalError), translate_out_of_memory(512):
        raise tf.errors.InternalError(None, None, "a kernel failed in the BLOOM filter")
