"""Whole runs on a GPU, each in its own process like a worker's: bytes, memory and failures."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pynvml
import pytest
from benchmarks.gpu.short_run import in_two_processes, recipes
from benchmarks.processes import module, peer_process
from PIL import Image
from support.fixtures.worker import WorkerRig, sample_image
from support.requirements import ROOT

from shared.jobs.estimate import peak_memory
from worker.devices.device import environment
from worker.devices.gpus import first_gpu_memory, visible_gpus

CUDA_CONTEXT = 512 * 2**20  # bytes outside TensorFlow's allocator: what shared/jobs/estimate.py allows for it
MAX_GROWTH = 8 * 2**30  # bytes; without memory growth TensorFlow takes nearly all of the memory
TOO_LARGE = """
import sys
import numpy as np
import worker
import tensorflow as tf
from pathlib import Path
from shared.errors import OutOfMemory
from shared.presets import resolve
from worker.engine import stylize
from worker.engine.weights.sources import Weights
for gpu in tf.config.list_physical_devices("GPU"):
    tf.config.set_logical_device_configuration(gpu, [tf.config.LogicalDeviceConfiguration(memory_limit=768)])  # MiB
content, style = np.zeros((1536, 2048, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
weights = Weights("path", Path(sys.argv[1]), "")
try:
    next(stylize(content, [style], resolve({"preset": "tutorial", "size": 2048}), weights=weights))
except OutOfMemory as error:
    print(error.detail)
"""


@pytest.fixture(autouse=True)
def _weights(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_WEIGHTS", str(random_weights))


def _python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_runs_with_either_optimizer_have_the_same_bytes_in_two_processes_and_when_resumed() -> None:
    one, other = in_two_processes(256, "resumed")
    for name, run in one.items():
        assert run["digest"] == run["resumed"] == other[name]["digest"] == other[name]["resumed"], name


@pytest.mark.parametrize("width", [256, 1024])
def test_a_run_takes_no_more_gpu_memory_than_predicted(width: int) -> None:
    height = width * 3 // 4
    for runs in in_two_processes(width):
        for name, recipe in recipes(width).items():
            predicted = peak_memory(recipe, width, height, [width * height], kind="gpu")
            assert 0 < runs[name]["peak"] <= predicted - CUDA_CONTEXT, name


def test_a_process_takes_only_the_memory_that_it_needs() -> None:
    before = _memory_in_use()
    with peer_process(*module("benchmarks.engine.peers.engine_peer", "256", "adam")) as step:
        step()
        assert 0 < _memory_in_use() - before < MAX_GROWTH


def test_a_run_that_exceeds_the_memory_limit_names_the_size_that_was_too_large() -> None:
    assert "2048 pixels needs more memory" in _python("-c", TOO_LARGE, os.environ["EASEL_WEIGHTS"])


def test_the_stylize_command_writes_an_image(tmp_path: Path) -> None:
    for number, name in enumerate(("content.png", "style.png")):
        sample_image(number).save(tmp_path / name)
    out = tmp_path / "out.png"
    options = ["--recipe", "fast", "--size", "96", "--steps", "8"]
    _python(
        "-m", "worker", "stylize", str(tmp_path / "content.png"), str(tmp_path / "style.png"), *options, "-o", str(out)
    )
    with Image.open(out) as written:
        assert written.size == (96, 72)


def test_a_worker_registers_the_gpus_memory_and_renders_a_job_on_the_gpu(rig: WorkerRig) -> None:
    rig.start_worker()
    job = rig.done(rig.submit())
    with Image.open(io.BytesIO(rig.result_of(job))) as result:
        assert result.size == (64, 48)
    (worker,) = rig.services.queue_stats.workers()
    assert (worker.memory_kind, worker.memory_bytes) == ("gpu", first_gpu_memory())
    assert worker.device == environment()["gpus"][0]


def test_the_environment_includes_gpu_driver_cuda_and_cudnn() -> None:
    values = environment()
    assert values["gpus"][0] not in {"", "GPU"}
    for name in ("gpu_driver", "cuda", "cudnn"):
        assert values[name][0].isdecimal(), (name, values[name])  # from the library, not what TensorFlow was built for


def _memory_in_use() -> int:
    """Return the bytes in use on TensorFlow's GPU, by all processes."""
    pynvml.nvmlInit()
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(visible_gpus()[0].uuid)
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
    finally:
        pynvml.nvmlShutdown()
