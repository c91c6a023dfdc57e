"""The NVIDIA GPUs of this machine, through NVML: the driver's own library, which makes no CUDA context.

So Celery's parent may ask before it forks, where TensorFlow must not run. Without a driver there is no GPU.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any, Final

import pynvml
import structlog

from shared.errors import GpuUnavailable

log = structlog.get_logger(__name__)

_NO_DRIVER: Final = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one MIG instance of it."""

    label: str  # short and unique on this machine: gpu0, gpu1 ... as nvidia-smi numbers them, mig-1a2b3c4d
    uuid: str  # GPU-... or MIG-...: CUDA_VISIBLE_DEVICES takes it, and unlike an index it never means another GPU
    name: str
    memory_bytes: int  # all of it; 0 where it does not say


def visible_gpus(environ: Mapping[str, str] = os.environ) -> tuple[Gpu, ...]:
    """Those that CUDA would show to this process, in its order. Raises GpuUnavailable where the driver has none.

    One that does not answer is logged and left out; the others keep their numbers.
    Indices in CUDA_VISIBLE_DEVICES are taken to be nvidia-smi's, which CUDA's own may differ from on a machine with
    unequal GPUs, unless CUDA_DEVICE_ORDER=PCI_BUS_ID is set.
    """
    with _nvml():
        gpus = [gpu for index in range(pynvml.nvmlDeviceGetCount()) for gpu in _numbered(index)]
        wanted = environ.get("CUDA_VISIBLE_DEVICES")
        return tuple(gpus if wanted is None else _chosen(gpus, wanted))


def first_gpu_memory() -> int:
    """Bytes of the GPU that TensorFlow uses in this process, the first it sees; 0 without one, or where unknown."""
    try:
        return next((gpu.memory_bytes for gpu in visible_gpus()), 0)
    except GpuUnavailable:
        return 0


def tensorflow_supports_gpus() -> bool:
    """Whether the TensorFlow that is installed was built for GPUs, as far as its package's name says."""
    try:
        distribution("tensorflow-cpu")
    except PackageNotFoundError:
        return True
    return False


def driver_versions() -> dict[str, str]:
    """Of the driver, and of the newest CUDA that it can run; empty where there is no driver."""
    try:
        with _nvml():
            cuda = pynvml.nvmlSystemGetCudaDriverVersion()
            return {
                "gpu_driver": str(pynvml.nvmlSystemGetDriverVersion()),
                "cuda_driver": f"{cuda // 1000}.{cuda % 1000 // 10}",
            }
    except GpuUnavailable:
        return {}


def _chosen(gpus: list[Gpu], wanted: str) -> Iterator[Gpu]:
    """As CUDA reads CUDA_VISIBLE_DEVICES: indices or UUIDs, also abbreviated; the first that is wrong ends the list."""
    for part in (part.strip() for part in wanted.split(",")):
        if part.startswith("MIG-"):
            found = [*_mig_instance(part)]
        elif part.startswith("GPU-"):
            found = [gpu for gpu in gpus if gpu.uuid.startswith(part)]
        else:
            found = [gpu for gpu in gpus if part.isdecimal() and gpu.label == f"gpu{int(part)}"]
        if len(found) != 1:
            return
        yield found[0]


def _numbered(index: int) -> Iterator[Gpu]:
    try:
        yield _described(pynvml.nvmlDeviceGetHandleByIndex(index), f"gpu{index}")
    except pynvml.NVMLError as error:  # it was lost, or this process may not use it
        log.warning("gpu_left_out", gpu=f"gpu{index}", error=str(error))


def _mig_instance(uuid: str) -> Iterator[Gpu]:
    with suppress(pynvml.NVMLError):  # there is none of this UUID
        yield _described(pynvml.nvmlDeviceGetHandleByUUID(uuid), uuid[: len("MIG-1a2b3c4d")].lower())


def _described(handle: Any, label: str) -> Gpu:
    memory = 0
    with suppress(pynvml.NVMLError):  # a GPU that shares the processor's memory states none
        memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    name, uuid = pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetUUID(handle)
    return Gpu(label=label, uuid=str(uuid), name=str(name), memory_bytes=memory)


@contextmanager
def _nvml() -> Iterator[None]:
    """NVML for as long as the block lasts: nothing of it is left open for a fork to copy. Raises GpuUnavailable."""
    try:
        pynvml.nvmlInit()
        try:
            yield
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        if error.value == _NO_DRIVER:
            raise GpuUnavailable(
                "There is no NVIDIA driver here (libnvidia-ml.so.1 was not found); install it, and in a container "
                "pass the GPUs through (docker run --gpus all)."
            ) from error
        raise GpuUnavailable(f"NVIDIA's driver does not answer: {error}. Does nvidia-smi list the GPUs?") from error
