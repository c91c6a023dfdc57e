"""One worker per GPU: the real supervisor with real processes. The GPUs are fake; no process uses one."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.fixtures.worker import WorkerRig
from support.requirements import PYTHONPATH, ROOT

from easel.models import JobState
from shared.errors import GpuUnavailable
from shared.jobs.job import Job
from worker.devices.gpus import Gpu
from worker.gpu_workers import select_gpus

REPORT = """
import json, os, signal, sys
def report(**fields):  # by one write: several processes share the pipe
    os.write(1, f"{json.dumps(fields)}\\n".encode())
"""
WORKER = f"""{REPORT}
def drain(number, frame):
    report(drained=sys.argv[1], signal=signal.Signals(number).name)
    sys.exit()
signal.signal(signal.SIGTERM, drain)
signal.signal(signal.SIGINT, drain)
gpu, metrics_port = os.environ["CUDA_VISIBLE_DEVICES"], os.environ["EASEL_METRICS_PORT"]
report(name=sys.argv[1], gpu=gpu, pid=os.getpid(), metrics_port=metrics_port)
while True:
    signal.pause()
"""
FAILING = f"{REPORT}\nreport(name=sys.argv[1])\nsys.exit(3)"
ENVIRONMENT = {**os.environ, "PYTHONPATH": PYTHONPATH}

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a supervisor whose output includes its workers'."""
    started: list[subprocess.Popen[str]] = []

    def supervise(code: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "support.gpu_supervisor", "-c", code, "w@test"]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, env=ENVIRONMENT | environment, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield supervise
    for process in started:
        process.kill()  # its workers end with it
        process.communicate()


def read_reports(process: "subprocess.Popen[str]", lines: int = 1) -> list[dict[str, Any]]:
    assert process.stdout is not None
    return [json.loads(process.stdout.readline()) for _ in range(lines)]


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(("first", "ports"), [("9101", {"9101", "9102"}), ("0", {"0"})])
def test_the_workers_serve_metrics_at_consecutive_ports(first: str, ports: set[str], start: Start) -> None:
    workers = read_reports(start(WORKER, EASEL_METRICS_PORT=first), 2)
    assert {worker["metrics_port"] for worker in workers} == ports


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_each_worker_has_its_own_gpu_and_name_and_a_signal_drains_them_all(
    number: signal.Signals, start: Start
) -> None:
    supervisor = start(WORKER)
    workers = read_reports(supervisor, 2)
    assert {(worker["name"], worker["gpu"]) for worker in workers} == {
        ("w@test-gpu0", "GPU-0"),
        ("w@test-gpu2", "GPU-2"),
    }
    supervisor.send_signal(number)
    rest, _ = supervisor.communicate(timeout=30)
    drained = [json.loads(line) for line in rest.splitlines()]
    assert {(worker["drained"], worker["signal"]) for worker in drained} == {
        ("w@test-gpu0", number.name),
        ("w@test-gpu2", number.name),
    }
    assert supervisor.returncode == 0
    assert all(ended(worker["pid"]) for worker in workers)


def test_a_killed_worker_is_restarted_with_its_name_and_the_other_keeps_running(start: Start) -> None:
    supervisor = start(WORKER)
    victim, other = read_reports(supervisor, 2)
    os.kill(victim["pid"], signal.SIGKILL)
    (restarted,) = read_reports(supervisor)
    assert (restarted["name"], restarted["gpu"]) == (victim["name"], victim["gpu"])
    assert restarted["pid"] != victim["pid"]
    assert not ended(other["pid"])


def test_workers_drain_when_their_supervisor_is_killed(start: Start) -> None:
    supervisor = start(WORKER)
    names = {worker["name"] for worker in read_reports(supervisor, 2)}
    supervisor.kill()
    assert {worker["drained"] for worker in read_reports(supervisor, 2)} == names


def test_a_worker_that_fails_immediately_is_restarted_after_growing_delays(start: Start) -> None:
    supervisor = start(FAILING, FIRST_DELAY="0.01")
    read_reports(supervisor, 8)  # attempts
    supervisor.terminate()
    _, log = supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0
    delays = re.findall(r"exit_code=3 .*restarts_in=(\S+).*worker=w@test-gpu0", re.sub(r"\x1b\[\d*m", "", log))
    assert [float(delay) for delay in delays[:3]] == [0.01, 0.02, 0.04]


def test_a_worker_that_cannot_be_started_is_retried_and_the_other_keeps_running(start: Start, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    supervisor = start(WORKER, PYTHON=str(python))
    victim, other = read_reports(supervisor, 2)
    moved = python.rename(tmp_path / "moved")
    os.kill(victim["pid"], signal.SIGKILL)
    assert supervisor.stderr is not None
    assert any("gpu_worker_not_started" in line and "No such file" in line for line in supervisor.stderr)
    moved.rename(python)
    (restarted,) = read_reports(supervisor)
    assert (restarted["name"], restarted["gpu"]) == (victim["name"], victim["gpu"])
    assert not ended(other["pid"])


def test_a_signal_during_a_delay_ends_the_supervisor_immediately(start: Start) -> None:
    supervisor = start(FAILING, FIRST_DELAY="600")
    read_reports(supervisor, 2)
    supervisor.terminate()
    assert supervisor.wait(timeout=30) == 0


def test_real_workers_drain_their_jobs_when_the_supervisor_is_stopped(
    sleep_engine_rig: WorkerRig,
) -> None:
    rig = sleep_engine_rig
    rig.command = ("support.gpu_supervisor", "-m", "chaos.stack.worker")
    jobs = [rig.submit(steps=20_000) for _ in range(2)]
    supervisor = rig.start_worker("w")

    def has_progress(job: Job) -> bool:
        return job.state is JobState.RUNNING and job.progress.current > 0

    running = [rig.wait(job, has_progress) for job in jobs]
    assert {job.worker for job in running} == {"w@test-gpu0", "w@test-gpu2"}
    assert {worker.name for worker in rig.services.queue_stats.workers()} == {"w@test-gpu0", "w@test-gpu2"}
    supervisor.terminate()
    assert supervisor.wait(timeout=60) == 0
    for job in map(rig.services.ledger.get, jobs):
        assert (job.state, job.leases_lost) == (JobState.QUEUED, 0)
        assert job.checkpoint
    assert rig.services.queue_stats.workers() == []


def start_with_gpus(gpus: str, environment: Mapping[str, str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "worker", "start", "--gpus", gpus]
    done = subprocess.run(command, env=dict(environment), cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, " ".join(done.stderr.split())


def test_without_a_driver_the_command_names_the_problem_and_the_fix(tmp_path: Path) -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    code, stderr = start_with_gpus("all", {**os.environ, "EASEL_CACHE": str(tmp_path)})
    assert code == 1
    assert "There is no NVIDIA driver (" in stderr
    assert stderr.endswith("(gpu_unavailable)")


def test_a_tensorflow_without_cuda_is_reported(three_gpus: Mapping[str, str]) -> None:
    code, stderr = start_with_gpus("0,2", three_gpus)
    assert code == 1
    assert "(tensorflow-cpu) cannot use a GPU; install deploy/locks/worker-gpu.txt" in stderr


GPUS = [Gpu(f"gpu{number}", f"GPU-{number}", "none", 0) for number in range(3)]


def test_gpus_are_selected_by_number_each_once() -> None:
    assert [gpu.label for gpu in select_gpus(GPUS, "2, 0,2")] == ["gpu2", "gpu0"]


@pytest.mark.parametrize(("numbers", "unknown"), [("1,3", "'3'"), ("", "''"), ("0;1", "'0;1'"), ("-1", "'-1'")])
def test_the_error_for_an_unknown_gpu_lists_the_known_ones(numbers: str, unknown: str) -> None:
    with pytest.raises(GpuUnavailable, match=f"There is no GPU {unknown}; choose from 0, 1, 2"):
        select_gpus(GPUS, numbers)
