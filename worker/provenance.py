"""What made a picture: enough to make it again, byte for byte, on the same machine."""

import hashlib
import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from shared import __version__
from shared.job import Job
from shared.recipe import Recipe

_SWITCHES: Final = ("TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS", "TF_XLA_FLAGS")
_PACKAGES: Final = ("keras", "numpy", "pillow")


@cache
def fingerprint() -> str:
    """What the bytes depend on besides inputs, recipe and weights: processor, devices, threads, versions.

    The short hash of it; two machines with equal fingerprints paint equal bytes.
    """
    return hashlib.sha256(repr(sorted(environment().items())).encode()).hexdigest()[:16]


@cache
def environment() -> Mapping[str, Any]:
    """Processor, GPUs, threads and versions."""
    import tensorflow as tf  # noqa: PLC0415 - in the child only: run in the parent it hangs every fork

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
    }


def device() -> str:
    """For people: the GPU's name, or the number of processor cores."""
    found = environment()
    return found["gpus"][0] if found["gpus"] else f"cpu:{found['threads']}"


def provenance(
    job: Job, *, step: int, picture: bytes, recipe: Recipe, weights: Mapping[str, str], bitwise: bool
) -> dict[str, Any]:
    """The document beside a result; `recipe` is the one that was painted.

    `bitwise` says whether the bytes are those of an uninterrupted run here.
    """
    return {
        "job": job.id,
        "result_sha256": hashlib.sha256(picture).hexdigest(),
        "content_sha256": job.request.content,
        "style_sha256": list(job.request.styles),
        "recipe": recipe.model_dump(mode="json"),
        "seed": recipe.seed,
        "steps": step,
        "weights": dict(weights),
        "claims": job.epoch,
        "resumed_from_step": job.resumed_from_step,
        "fingerprint": fingerprint(),
        "bitwise": bitwise,
        "environment": dict(environment()),
    }


def _processor() -> str:
    """The processor's model; the kernels that are chosen depend on it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
