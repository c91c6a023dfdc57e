"""GPUs and CUDA_VISIBLE_DEVICES: the real bindings with the libraries of support/fixtures/nvidia.py."""

import ctypes.util
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from support.requirements import ROOT

from shared.errors import GpuUnavailable
from worker.devices.gpus import driver_versions, first_gpu_memory, visible_gpus

without_driver = pytest.mark.skipif(
    ctypes.util.find_library("nvidia-ml") is not None, reason="this machine has a driver"
)
GIB = 2**30


def evaluate(expression: str, environment: Mapping[str, str]) -> Any:
    command = [sys.executable, "-c", f"import json; from worker.devices.gpus import *; print(json.dumps({expression}))"]
    done = subprocess.run(command, env=dict(environment), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # after log lines


@pytest.mark.parametrize(
    ("visible", "labels"),
    [
        (None, ["gpu0", "gpu1", "gpu2"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2, 0", ["gpu2", "gpu0"]),
        ("1,7,0", ["gpu1"]),  # as for CUDA, the first invalid one ends the list
        ("GPU-cccc3333,GPU-aaaa1111", ["gpu2", "gpu0"]),
        ("GPU-aab", ["gpu1"]),
        ("GPU-aa", []),  # ambiguous
        ("MIG-1a2b3c4d-5e6f", ["mig-1a2b3c4d"]),
        ("0,MIG-none", ["gpu0"]),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(
    visible: str | None, labels: list[str], three_gpus: Mapping[str, str]
) -> None:
    environment = {**three_gpus, **({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})}
    assert evaluate("[gpu.label for gpu in visible_gpus()]", environment) == labels


def test_usage_is_the_memory_and_the_time_in_use(three_gpus: Mapping[str, str]) -> None:
    usage = "[(u.gpu.label, u.used_bytes, u.utilization) for u in gpu_usage(visible_gpus())]"
    assert evaluate(usage, three_gpus) == [[f"gpu{number}", 5 * GIB, 0.75] for number in range(3)]


def test_a_mig_instance_has_no_utilization(three_gpus: Mapping[str, str]) -> None:
    usage = "[(u.used_bytes, u.utilization) for u in gpu_usage(visible_gpus())]"
    assert evaluate(usage, {**three_gpus, "CUDA_VISIBLE_DEVICES": "MIG-1a2b3c4d-5e6f"}) == [[5 * GIB, None]]


def test_a_driver_that_fails_later_has_no_usage(three_gpus: Mapping[str, str]) -> None:
    gpus = "[Gpu('gpu0', 'GPU-aaaa1111', 'NVIDIA H100 80GB HBM3', 0)]"
    assert evaluate(f"gpu_usage({gpus})", {**three_gpus, "NVML_INIT_RESULT": "9"}) == []


def test_a_gpu_has_a_uuid_a_name_and_its_total_memory(three_gpus: Mapping[str, str]) -> None:
    assert evaluate("vars(visible_gpus()[2])", three_gpus) == {
        "label": "gpu2",
        "uuid": "GPU-cccc3333",
        "name": "NVIDIA L4",
        "memory_bytes": 24 * GIB,
    }


def test_the_first_visible_gpus_memory_counts(three_gpus: Mapping[str, str]) -> None:
    assert evaluate("first_gpu_memory()", three_gpus) == 80 * GIB
    assert evaluate("first_gpu_memory()", {**three_gpus, "CUDA_VISIBLE_DEVICES": "2"}) == 24 * GIB
    assert evaluate("first_gpu_memory()", {**three_gpus, "CUDA_VISIBLE_DEVICES": ""}) == 0


@pytest.mark.parametrize("fault", ["NVML_LOST", "NVML_NAMELESS"])
@pytest.mark.parametrize(
    ("visible", "labels"), [(None, ["gpu0", "gpu2"]), ("2,0", ["gpu2", "gpu0"]), ("2,1,0", ["gpu2"])]
)
def test_a_gpu_that_does_not_respond_is_skipped_and_the_others_keep_their_numbers(
    fault: str, visible: str | None, labels: list[str], three_gpus: Mapping[str, str]
) -> None:
    environment = {**three_gpus, fault: "1", **({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})}
    assert evaluate("[gpu.label for gpu in visible_gpus()]", environment) == labels


def test_a_skipped_gpu_is_logged_with_the_reason(three_gpus: Mapping[str, str]) -> None:
    command = [sys.executable, "-c", "from worker.devices.gpus import visible_gpus; visible_gpus()"]
    environment = {**three_gpus, "NVML_LOST": "1", "NO_COLOR": "1"}
    logged = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = logged.stdout.splitlines()
    assert all(part in line for part in ("gpu_skipped", "gpu1", "GPU is lost"))


def test_the_driver_reports_its_version_and_the_newest_cuda_that_it_supports(three_gpus: Mapping[str, str]) -> None:
    assert evaluate("driver_versions()", three_gpus) == {"gpu_driver": "580.95.05", "cuda_driver": "13.2"}


def test_a_driver_that_is_not_loaded_means_no_gpu_and_the_error_says_why(three_gpus: Mapping[str, str]) -> None:
    broken = {**three_gpus, "NVML_INIT_RESULT": "9"}
    assert evaluate("[first_gpu_memory(), driver_versions()]", broken) == [0, {}]
    command = [sys.executable, "-c", "from worker.devices.gpus import visible_gpus; visible_gpus()"]
    failed = subprocess.run(command, env=broken, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "NVIDIA's driver does not respond: Driver Not Loaded." in failed.stderr


@without_driver
def test_without_a_driver_there_is_no_gpu_and_the_error_names_the_fix() -> None:
    assert (first_gpu_memory(), driver_versions()) == (0, {})
    with pytest.raises(GpuUnavailable, match=r"There is no NVIDIA driver .*docker run --gpus all"):
        visible_gpus()
