"""The environment that a result's fingerprint depends on: the machine, and with a GPU the CUDA libraries."""

import json
import subprocess
import sys
from collections.abc import Mapping

import pytest
import tensorflow as tf
from support.requirements import ROOT

from worker.devices.cuda import cuda_versions
from worker.devices.device import environment

BUILT = {"is_cuda_build": True, "cuda_version": "12.5.1", "cudnn_version": "9"}
without_gpu = pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")


@without_gpu
def test_without_a_gpu_the_environment_does_not_include_cuda() -> None:
    switches = {"TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS", "TF_XLA_FLAGS"}
    versions = {"python", "easel", "tensorflow", "keras", "numpy", "pillow", "pyvips-binary"}
    assert set(environment()) - switches == {"processor", "gpus", "threads", "system"} | versions
    assert environment()["gpus"] == []


def test_with_a_gpu_the_driver_and_the_loaded_libraries_report_their_versions(three_gpus: Mapping[str, str]) -> None:
    code = f"import json; from worker.devices.cuda import cuda_versions; print(json.dumps(cuda_versions({BUILT})))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=dict(three_gpus), cwd=ROOT, capture_output=True, text=True, check=True)
    versions = {"gpu_driver": "580.95.05", "cuda_driver": "13.2", "cuda": "12.9", "cudnn": "9.19.0"}
    assert {name: value for name, value in json.loads(done.stdout).items() if name in versions} == versions


@without_gpu
def test_without_the_library_the_version_that_tensorflow_was_built_for_is_reported() -> None:
    versions = cuda_versions(BUILT)
    assert (versions["cuda"], versions["cudnn"]) == ("built for 12.5.1", "built for 9")
