"""The NVIDIA GPUs of this machine, from NVML: the driver's own library, which creates no CUDA context.

Celery's parent can therefore use it before it forks, where TensorFlow must not run. No driver means no GPU.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
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

    label: str  # short and unique on this machine: gpu0, gpu1 ... as in nvidia-smi, or mig-1a2b3c4d
    uuid: str  # GPU-... or MIG-... for CUDA_VISIBLE_DEVICES; unlike an index it never means another GPU
    name: str
    memory_bytes: int  # in total; 0 if unknown


def visible_gpus(environ: Mapping[str, str] = os.environ) -> tuple[Gpu, ...]:
    """Return the GPUs that CUDA shows to this process, in CUDA's order. Raises GpuUnavailable.

    A GPU that does not respond is logged and skipped; the others keep their numbers. Indices in CUDA_VISIBLE_DEVICES
    are taken as nvidia-smi's. CUDA's own may differ on a machine with unequal GPUs, unless
    CUDA_DEVICE_ORDER=PCI_BUS_ID is set.
    """
    with _nvml():
        gpus = [gpu for index in range(pynvml.nvmlDeviceGetCount()) for gpu in _gpu_at(index)]
        visible = environ.get("CUDA_VISIBLE_DEVICES")
        return tuple(gpus if visible is None else _filter_visible(gpus, visible))


@dataclass(frozen=True)
class GpuUsage:
    """How much of a GPU is in use, by all processes."""

    gpu: Gpu
    used_bytes: int | None  # None if unknown, as is the next
    utilization: float | None  # share of the last moments in which it computed, in [0, 1]


def gpu_usage(gpus: Sequence[Gpu]) -> list[GpuUsage]:
    """Return the usage of these GPUs; of none if the driver does not respond."""
    try:
        with _nvml():
            return [usage for gpu in gpus for usage in _usage(gpu)]
    except GpuUnavailable as error:
        log.warning("gpu_usage_unknown", detail=error.detail)
        return []


def first_gpu_memory() -> int:
    """Return the bytes of the GPU that TensorFlow uses, the first visible one; 0 without a GPU, or if unknown."""
    try:
        return next((gpu.memory_bytes for gpu in visible_gpus()), 0)
    except GpuUnavailable:
        return 0


def tensorflow_supports_gpus() -> bool:
    """Return whether the installed TensorFlow was built for GPUs, judging by its package's name."""
    try:
        distribution("tensorflow-cpu")
    except PackageNotFoundError:
        return True
    return False


def driver_versions() -> dict[str, str]:
    """Return the versions of the driver and of the newest CUDA that it supports; empty without a driver."""
    try:
        with _nvml():
            cuda = pynvml.nvmlSystemGetCudaDriverVersion()
            return {
                "gpu_driver": str(pynvml.nvmlSystemGetDriverVersion()),
                "cuda_driver": f"{cuda // 1000}.{cuda % 1000 // 10}",
            }
    except GpuUnavailable:
        return {}


def _filter_visible(gpus: list[Gpu], visible: str) -> Iterator[Gpu]:
    """Read CUDA_VISIBLE_DEVICES as CUDA does: indices or abbreviated UUIDs; the first invalid one ends the list."""
    for part in (part.strip() for part in visible.split(",")):
        if part.startswith("MIG-"):
            matches = [*_mig_instance(part)]
        elif part.startswith("GPU-"):
            matches = [gpu for gpu in gpus if gpu.uuid.startswith(part)]
        else:
            matches = [gpu for gpu in gpus if part.isdecimal() and gpu.label == f"gpu{int(part)}"]
        if len(matches) != 1:
            return
        yield matches[0]


def _gpu_at(index: int) -> Iterator[Gpu]:
    try:
        yield _describe(pynvml.nvmlDeviceGetHandleByIndex(index), f"gpu{index}")
    except pynvml.NVMLError as error:  # it was lost, or this process may not use it
        log.warning("gpu_skipped", gpu=f"gpu{index}", error=str(error))


def _mig_instance(uuid: str) -> Iterator[Gpu]:
    with suppress(pynvml.NVMLError):  # there is no such UUID
        yield _describe(pynvml.nvmlDeviceGetHandleByUUID(uuid), uuid[: len("MIG-1a2b3c4d")].lower())


def _describe(handle: Any, label: str) -> Gpu:
    memory = 0
    with suppress(pynvml.NVMLError):  # a GPU that shares the CPU's memory reports none
        memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    name, uuid = pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetUUID(handle)
    return Gpu(label=label, uuid=str(uuid), name=str(name), memory_bytes=memory)


def _usage(gpu: Gpu) -> Iterator[GpuUsage]:
    used, utilization = None, None
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
    except pynvml.NVMLError as error:  # it was lost
        log.warning("gpu_skipped", gpu=gpu.label, error=str(error))
        return
    with suppress(pynvml.NVMLError):  # a GPU that shares the CPU's memory reports none
        used = int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
    with suppress(pynvml.NVMLError):  # a MIG instance reports none
        utilization = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    yield GpuUsage(gpu, used, utilization)


@contextmanager
def _nvml() -> Iterator[None]:
    """Initialize NVML for the block only, so that a fork copies no open handle. Raises GpuUnavailable."""
    try:
        pynvml.nvmlInit()
        try:
            yield
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        if error.value == _NO_DRIVER:
            raise GpuUnavailable(
                "There is no NVIDIA driver (libnvidia-ml.so.1 was not found); install it, and in a container "
                "pass the GPUs through (docker run --gpus all)."
            ) from error
        raise GpuUnavailable(f"NVIDIA's driver does not respond: {error}. Does nvidia-smi list the GPUs?") from error
