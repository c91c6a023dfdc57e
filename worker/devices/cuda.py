"""What a GPU's results depend on besides the GPU: the driver and the CUDA libraries, by their versions.

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
    """Of driver, CUDA and cuDNN; `built` is `tf.sysconfig.get_build_info()`.

    The libraries' own versions, if TensorFlow has loaded them, which it does when it first looks for GPUs.
    Else the version that TensorFlow was built for has to do.
    """
    cuda, cudnn = (str(built.get(name, "unknown")) for name in ("cuda_version", "cudnn_version"))
    found = {
        **driver_versions(),
        "cuda": _cuda_runtime(_major(cuda)) or f"built for {cuda}",
        "cudnn": _cudnn(_major(cudnn)) or f"built for {cudnn}",
    }
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):  # the CUDA of the system may serve instead
            found[package] = version(package)
    return found


def _cuda_runtime(major: str) -> str | None:
    number = ctypes.c_int()
    with suppress(OSError, AttributeError):  # no such library, or no such function in it
        if ctypes.CDLL(f"libcudart.so.{major}").cudaRuntimeGetVersion(ctypes.byref(number)) == 0:
            return f"{number.value // 1000}.{number.value % 1000 // 10}"
    return None


def _cudnn(major: str) -> str | None:
    with suppress(OSError, AttributeError):
        ask = ctypes.CDLL(f"libcudnn.so.{major}").cudnnGetVersion
        ask.restype = ctypes.c_size_t
        number = int(ask())
        return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"  # as since version 9
    return None


def _major(full_version: str) -> str:
    return full_version.partition(".")[0]
