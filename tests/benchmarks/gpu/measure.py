"""`python -m benchmarks.gpu.measure FOLDER`: what `benchmarks.gpu.export` wrote, on this machine's GPU.

Needs JAX, PyTorch and NumPy, not TensorFlow. One JSON line a size: milliseconds of a step by XLA and of PyTorch's, in
turns, both with the loss read after each; and the step's share of the rate of a large matrix product.
"""

import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import jax
import numpy as np
from jax._src.interpreters.mlir import make_ir_context  # JAX has no public way to read a program in
from jax.extend import backend
from jax.extend.mlir import ir
from jaxlib.xla_client import DeviceList

from benchmarks.figure import seconds
from benchmarks.processes import Peer, beside

_PEER: Final = Path(__file__).parents[1] / "engine" / "torch_peer.py"
_WARM, _ROUNDS = 20, 100
_PRODUCT: Final = 8192
_MODULE: Final = re.compile(r"(module @\S+) attributes \{[^}]*\}")
"""What TensorFlow adds there is of no meaning to JAX."""


def main(folder: Path) -> None:
    """Every size that was exported."""
    device, arrays = jax.devices()[0], np.load(folder / "arrays.npz")
    rate = 2 * _PRODUCT**3 / _product_seconds()
    about = {"device": device.device_kind, "jax": jax.__version__, "flags": os.environ.get("XLA_FLAGS", "")}
    print(json.dumps(about | {"product_tflops": round(rate / 1e12, 1)}), flush=True)  # noqa: T201 - the answer
    for found in sorted(folder.glob("*.json"), key=lambda path: int(path.stem)):
        told = json.loads(found.read_text())
        step, slope = _step(found.with_suffix(".mlir"), [arrays[digest] for digest in told["arguments"]])
        apart = abs(step() - told["loss"]) / told["loss"]
        with _torch(told, arrays, "cuda" if device.platform == "gpu" else "cpu") as theirs:
            for _ in range(_WARM):
                step(), theirs()
            ours, others = zip(*((seconds(step), seconds(theirs)) for _ in range(_ROUNDS)), strict=True)
        times = {"ms": _spread(ours), "torch_ms": _spread(others), "of_rate": told["flop"] / median(ours) / rate}
        line = {"width": int(found.stem), "loss_apart": apart, "gradient": slope} | times
        print(json.dumps(line), flush=True)  # noqa: T201 - the answer


def _step(program: Path, arguments: list[np.ndarray]) -> tuple[Callable[[], float], str]:
    """One evaluation, which gives its loss; and a digest of its gradient's bytes."""
    given = [jax.device_put(array) for array in arguments]
    with make_ir_context():
        module = ir.Module.parse(_MODULE.sub(r"\1", program.read_text()))
    devices = DeviceList((jax.devices()[0],))
    compiled = backend.get_backend().compile_and_load(module, devices, backend.get_compile_options(1, 1))

    def run() -> list[jax.Array]:
        found: list[jax.Array] = compiled.execute_sharded(given).consume_with_handlers([lambda parts: parts[0]] * 2)
        return found

    return lambda: float(np.asarray(run()[0])[0]), hashlib.sha256(np.asarray(run()[1]).tobytes()).hexdigest()[:12]


@contextmanager
def _torch(told: dict[str, Any], arrays: Mapping[str, np.ndarray], device: str) -> Iterator[Peer]:
    """PyTorch as it comes: convolutions in TF32, where the GPU has it."""
    with tempfile.TemporaryDirectory() as folder:
        images, kernels = Path(folder, "images.npz"), Path(folder, "kernels.npz")
        pictures = {name: arrays[digest][np.newaxis] for name, digest in told["images"].items()}
        np.savez(images, **pictures)  # type: ignore[arg-type]  # its second parameter is no array
        np.savez(kernels, **{name: arrays[digest] for name, digest in told["kernels"].items()})  # type: ignore[arg-type]
        with beside(sys.executable, str(_PEER), str(images), str(kernels), device) as peer:
            yield peer


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
