"""Versions of the driver and of the CUDA libraries, which a GPU's results depend on.

Another cuDNN or cuBLAS may choose other kernels, which sum in another order.
"""

import ctypes
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from worker.devices.gpus import driver_versions

_PACKAGES: Final = (
    "nvidia-cublas-cu12",
    "nvidia-cuda-nvcc-cu12",
)  # matrix products; the assembler of what XLA compiles


def cuda_versions(built: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of driver, CUDA and cuDNN; `built` is `tf.sysconfig.get_build_info()`.

    They come from the libraries if TensorFlow has loaded them, which it does when it first looks for GPUs. Otherwise
    they are the versions that TensorFlow was built for.
    """
    cuda, cudnn = (str(built.get(name, "unknown")) for name in ("cuda_version", "cudnn_version"))
    versions = {
        **driver_versions(),
        "cuda": _cuda_runtime(_major(cuda)) or f"built for {cuda}",
        "cudnn": _cudnn(_major(cudnn)) or f"built for {cudnn}",
    }
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):  # the system's CUDA may be used instead
            versions[package] = version(package)
    return versions


def _cuda_runtime(major: str) -> str | None:
    number = ctypes.c_int()
    with suppress(OSError, AttributeError):  # no such library, or no such function in it
        if ctypes.CDLL(f"libcudart.so.{major}").cudaRuntimeGetVersion(ctypes.byref(number)) == 0:
            return f"{number.value // 1000}.{number.value % 1000 // 10}"
    return None


def _cudnn(major: str) -> str | None:
    with suppress(OSError, AttributeError):
        get_version = ctypes.CDLL(f"libcudnn.so.{major}").cudnnGetVersion
        get_version.restype = ctypes.c_size_t
        number = int(get_version())
        return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"  # the format since version 9
    return None


def _major(full_version: str) -> str:
    return full_version.partition(".")[0]
