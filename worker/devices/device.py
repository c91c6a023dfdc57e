"""The device and the software that this process renders with.

Only a worker's child imports it: if TensorFlow runs in the parent, every fork hangs.
"""

import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import tensorflow as tf

from easel import __version__
from worker.devices.cuda import cuda_versions

_SWITCHES: Final = ("TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS", "TF_XLA_FLAGS")
_PACKAGES: Final = ("keras", "numpy", "pillow", "pyvips-binary")


def configure_tensorflow(threads: int) -> None:
    """Let TensorFlow use `threads` threads, 0 for all cores."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.get_logger().setLevel("ERROR")  # it warns that a function is traced for many shapes, as intended


@cache
def environment() -> Mapping[str, Any]:
    """Return CPU, GPUs, threads and versions; with a GPU, also those of its driver and of CUDA's libraries."""
    gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return {
        "processor": _processor(),
        "gpus": [gpu.get("device_name", "GPU") for gpu in gpus],
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: os.environ[name] for name in _SWITCHES if name in os.environ},
        "easel": __version__,
        "tensorflow": tf.__version__,
        **{name: version(name) for name in _PACKAGES},
        **(cuda_versions(tf.sysconfig.get_build_info()) if gpus else {}),
    }


def _processor() -> str:
    """Return the CPU's model, which the choice of kernels depends on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
