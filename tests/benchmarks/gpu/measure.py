"""`python -m benchmarks.gpu.measure FOLDER`: what `benchmarks.gpu.export` wrote, on this machine's GPU.

Needs JAX, PyTorch and NumPy, not TensorFlow, and PYTHONPATH=tests. One JSON line a size: milliseconds of an evaluation
by XLA and of a step of PyTorch, eager, in a process beside, in turns, both with the loss read after each. PyTorch's
step has its update in it, and its Gram matrices in float32. Raises AssertionError where the losses differ.
"""

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any, Final

import jax
import numpy as np
from jax._src.interpreters.mlir import make_ir_context  # JAX has no public way to read a program in
from jax.extend import backend
from jax.extend.mlir import ir
from jaxlib.xla_client import DeviceList

from benchmarks.engine.torch_beside import torch_beside
from benchmarks.figure import seconds
from benchmarks.processes import Peer

_WARM, _ROUNDS = 20, 100
_PRODUCT: Final = 8192
_TOLERANCE: Final = 1e-3  # TF32 keeps ten bits
_MODULE: Final = re.compile(r"(module @\S+) attributes \{[^}]*\}")
"""What TensorFlow adds there is of no meaning to JAX."""


def main(folder: Path) -> None:
    """Every size that was exported."""
    device, arrays = jax.devices()[0], np.load(folder / "arrays.npz")
    rate = 2 * _PRODUCT**3 / _product_seconds()
    machine = {"device": device.device_kind, "jax": jax.__version__, "flags": os.environ.get("XLA_FLAGS", "")}
    print(json.dumps(machine | {"product_tflops": round(rate / 1e12, 1)}), flush=True)  # noqa: T201 - the answer
    for found in sorted(folder.glob("*.json"), key=lambda path: int(path.stem)):
        told = json.loads(found.read_text())
        step, about = _step(found.with_suffix(".mlir"), [arrays[digest] for digest in told["arguments"]])
        with _torch(told, arrays, "cuda" if device.platform == "gpu" else "cpu") as theirs:
            _check(told["loss"], step(), theirs())
            for _ in range(_WARM):
                step(), theirs()
            ours, others = zip(*((seconds(step), seconds(theirs)) for _ in range(_ROUNDS)), strict=True)
        times = {"ms": _spread(ours), "torch_ms": _spread(others), "of_rate": told["flop"] / median(ours) / rate}
        print(json.dumps({"width": int(found.stem)} | about | times), flush=True)  # noqa: T201 - the answer


def _check(loss: float, *others: float) -> None:
    if any(abs(other - loss) > _TOLERANCE * loss for other in others):
        raise AssertionError(f"A processor's loss is {loss}, and theirs {others}.")


def _step(program: Path, arguments: list[np.ndarray]) -> tuple[Callable[[], float], dict[str, Any]]:
    """One evaluation, which gives its loss; what it took to compile, what memory it needs, a digest of its gradient."""
    given = [jax.device_put(array) for array in arguments]
    with make_ir_context():
        module = ir.Module.parse(_MODULE.sub(r"\1", program.read_text()))
    devices, began = DeviceList((jax.devices()[0],)), time.perf_counter()
    compiled = backend.get_backend().compile_and_load(module, devices, backend.get_compile_options(1, 1))
    about: dict[str, Any] = {"compiled_seconds": round(time.perf_counter() - began, 1)}
    memory = compiled.get_compiled_memory_stats()
    about["megabytes"] = round((memory.temp_size_in_bytes + memory.argument_size_in_bytes) / 1e6)

    def run() -> list[jax.Array]:
        found: list[jax.Array] = compiled.execute_sharded(given).consume_with_handlers([lambda parts: parts[0]] * 2)
        return found

    about["gradient"] = hashlib.sha256(np.asarray(run()[1]).tobytes()).hexdigest()[:12]
    return lambda: float(np.asarray(run()[0])[0]), about


def _torch(told: dict[str, Any], arrays: Mapping[str, np.ndarray], device: str) -> AbstractContextManager[Peer]:
    """PyTorch as it comes: convolutions in TF32, where the GPU has it."""
    images, kernels = ({name: arrays[digest] for name, digest in told[what].items()} for what in ("images", "kernels"))
    return torch_beside(sys.executable, images, kernels, device)


def _product_seconds() -> float:
    """In the precision that convolutions have, which is TF32 on newer GPUs."""
    matrix = jax.random.normal(jax.random.key(0), (_PRODUCT, _PRODUCT))
    product = jax.jit(lambda matrix: jax.numpy.matmul(matrix, matrix, precision="default"))
    product(matrix).block_until_ready()
    return min(seconds(lambda: product(matrix).block_until_ready()) for _ in range(10))


def _spread(found: tuple[float, ...]) -> list[float]:
    """Median, tenth and ninetieth per cent, in milliseconds."""
    return [round(1e3 * float(np.quantile(found, share)), 3) for share in (0.5, 0.1, 0.9)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
