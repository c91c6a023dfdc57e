"""The metrics of a worker: what it shows of GPUs, and how steps are sorted."""

import subprocess
import sys
from collections.abc import Mapping

import pytest
from support.requirements import ROOT

from worker.metrics import _size_class


@pytest.mark.parametrize(
    ("phase", "size"),
    [("192 px", "256"), ("patches, 96 px", "256"), ("1024 px", "1024"), ("1025 px", "2048"), ("9000 px", "larger")],
)
def test_a_step_belongs_to_the_smallest_size_that_its_image_fits_into(phase: str, size: str) -> None:
    assert _size_class(phase) == size


def test_a_worker_with_a_gpu_shows_its_memory_and_utilization(three_gpus: Mapping[str, str]) -> None:
    """With a substitute of NVIDIA's library; the real one was not available."""
    code = """
from prometheus_client import generate_latest
from shared.metrics.instruments import REGISTRY
from worker.metrics import WorkerCollector
WorkerCollector(lambda: "idle", lambda: ()).register()
print(generate_latest(REGISTRY).decode())
"""
    environment = {**three_gpus, "CUDA_VISIBLE_DEVICES": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    gpu = 'gpu="gpu2",name="NVIDIA L4"'
    for name, value in (("memory_used_bytes", 5 * 2**30), ("memory_bytes", 24 * 2**30), ("utilization_ratio", 0.75)):
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"easel_gpu_{name}{{{gpu}}}"))
        assert float(line.split()[-1]) == value
