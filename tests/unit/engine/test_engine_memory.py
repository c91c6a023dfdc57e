"""Memory that does not suffice, in whichever part of a run and by whichever name: one error that says what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support.small_runs import run, small

from shared.errors import OutOfMemory
from worker.engine.cache import Cache
from worker.engine.memory import shortage_named
from worker.engine.model import Features
from worker.engine.objective import Objective
from worker.engine.optimizers import LBFGS
from worker.engine.stylize import _Run
from worker.engine.weights.sources import Weights

LOSSES = Objective.__call__
PETABYTES = 10**8  # squared, floats: no machine has them, so asking for them fails for real


def ask_numpy(*_: Any, **__: Any) -> Any:
    return np.empty((PETABYTES, PETABYTES), np.float32)


def ask_tensorflow(objective: Objective, image: tf.Tensor, features: Features) -> Any:
    """Depends on the image, so that it is asked for in the evaluation and not when that is traced."""
    return LOSSES(objective, image, features) + tf.fill([PETABYTES, PETABYTES], image[0, 0, 0])[0, :4]


@pytest.fixture(scope="module")
def weights(random_weights: Path) -> Weights:
    return Weights("path", random_weights, "")


@pytest.mark.parametrize(
    ("part", "method", "ask"),
    [
        (_Run, "__init__", ask_numpy),
        (Cache, "style", ask_numpy),
        (LBFGS, "step", ask_numpy),
        (Objective, "__call__", ask_tensorflow),  # takes 10 s: TensorFlow waits for memory to become free
    ],
)
def test_every_part_of_a_run_that_lacks_memory_says_that_a_smaller_size_fits(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, part: type, method: str, ask: Callable[..., Any]
) -> None:
    monkeypatch.setattr(part, method, ask)
    with pytest.raises(OutOfMemory, match=r"80 pixels .* smaller `size`") as told:
        run(weights, small(), cache=Cache())
    assert isinstance(told.value.__cause__, (MemoryError, tf.errors.ResourceExhaustedError))


@pytest.mark.parametrize(
    "message",
    [
        "CUDA_ERROR_OUT_OF_MEMORY",
        "failed to allocate 2.00GiB: out of memory",
        "OOM when allocating tensor",
        "cuBLAS handle: CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_a_gpu_without_memory_is_recognised_by_what_it_says(message: str) -> None:
    with pytest.raises(OutOfMemory), shortage_named(512):
        raise tf.errors.InternalError(None, None, message)


def test_other_errors_of_tensorflow_stay_as_they_are() -> None:
    with pytest.raises(tf.errors.InternalError), shortage_named(512):
        raise tf.errors.InternalError(None, None, "a kernel failed in the BLOOM filter")
