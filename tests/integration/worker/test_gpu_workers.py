"""One worker per GPU: the real supervisor over real processes. The GPUs are made up, as no process here uses one."""

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
from support.fixtures.worker import Rig
from support.requirements import ROOT

from easel.models import JobState
from shared.errors import GpuUnavailable
from shared.jobs.job import Job
from worker.devices.gpus import Gpu
from worker.gpu_workers import numbered

SAY = """
import json, os, signal, sys
def say(**fields):  # by one write: several processes share the pipe
    os.write(1, f"{json.dumps(fields)}\\n".encode())
"""
PATIENT = f"""{SAY}
def leave(number, frame):
    say(drained=sys.argv[1], signal=signal.Signals(number).name)
    sys.exit()
signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGINT, leave)
say(name=sys.argv[1], gpu=os.environ["CUDA_VISIBLE_DEVICES"], pid=os.getpid())
while True:
    signal.pause()
"""
BROKEN = f"{SAY}\nsay(name=sys.argv[1])\nsys.exit(3)"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])}

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """The supervisor, with its workers' output as its own."""
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


def says(process: "subprocess.Popen[str]", lines: int = 1) -> list[dict[str, Any]]:
    assert process.stdout is not None
    return [json.loads(process.stdout.readline()) for _ in range(lines)]


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_each_worker_has_a_gpu_and_a_name_of_its_own_and_a_signal_drains_them_all(
    number: signal.Signals, start: Start
) -> None:
    supervisor = start(PATIENT)
    workers = says(supervisor, 2)
    assert {(one["name"], one["gpu"]) for one in workers} == {("w@test-gpu0", "GPU-0"), ("w@test-gpu2", "GPU-2")}
    supervisor.send_signal(number)
    rest, _ = supervisor.communicate(timeout=30)
    drained = [json.loads(line) for line in rest.splitlines()]
    assert {(one["drained"], one["signal"]) for one in drained} == {
        ("w@test-gpu0", number.name),
        ("w@test-gpu2", number.name),
    }
    assert supervisor.returncode == 0
    assert all(ended(one["pid"]) for one in workers)


def test_a_worker_that_is_killed_comes_back_under_its_name_and_the_other_goes_on(start: Start) -> None:
    supervisor = start(PATIENT)
    victim, other = says(supervisor, 2)
    os.kill(victim["pid"], signal.SIGKILL)
    (heir,) = says(supervisor)
    assert (heir["name"], heir["gpu"]) == (victim["name"], victim["gpu"])
    assert heir["pid"] != victim["pid"]
    assert not ended(other["pid"])


def test_workers_drain_when_their_supervisor_is_killed(start: Start) -> None:
    supervisor = start(PATIENT)
    names = {one["name"] for one in says(supervisor, 2)}
    supervisor.kill()
    assert {one["drained"] for one in says(supervisor, 2)} == names


def test_one_that_cannot_start_is_tried_again_after_ever_longer_pauses(start: Start) -> None:
    supervisor = start(BROKEN, FIRST_PAUSE="0.01")
    says(supervisor, 8)  # tries
    supervisor.terminate()
    _, log = supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0
    pauses = re.findall(r"exit_code=3 .*starts_again_in=(\S+).*worker=w@test-gpu0", re.sub(r"\x1b\[\d*m", "", log))
    assert [float(pause) for pause in pauses[:3]] == [0.01, 0.02, 0.04]


def test_one_that_the_system_refuses_to_start_is_tried_again_and_the_other_goes_on(
    start: Start, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    supervisor = start(PATIENT, PYTHON=str(python))
    victim, other = says(supervisor, 2)
    away = python.rename(tmp_path / "away")
    os.kill(victim["pid"], signal.SIGKILL)
    assert supervisor.stderr is not None
    assert any("gpu_worker_not_started" in line and "No such file" in line for line in supervisor.stderr)
    away.rename(python)
    (heir,) = says(supervisor)
    assert (heir["name"], heir["gpu"]) == (victim["name"], victim["gpu"])
    assert not ended(other["pid"])


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
@pytest.mark.parametrize(("parent", "runs"), [("os.getppid()", True), ("os.getpid()", False)])
def test_a_worker_whose_supervisor_was_killed_before_it_could_ask_for_the_signal_ends(
    parent: str, *, runs: bool
) -> None:
    code = f"import os; from worker.gpu_workers import _end_with_parent; _end_with_parent({parent}); print('runs')"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == ((0, "runs\n") if runs else (1, ""))


def test_a_signal_during_a_pause_ends_the_supervisor_at_once(start: Start) -> None:
    supervisor = start(BROKEN, FIRST_PAUSE="600")
    says(supervisor, 2)
    supervisor.terminate()
    assert supervisor.wait(timeout=30) == 0


def test_the_products_workers_drain_both_jobs_when_their_supervisor_is_told_to_stop(sleepy_rig: Rig) -> None:
    rig = sleepy_rig
    rig.command = ("support.gpu_supervisor", "-m", "chaos.worker")
    jobs = [rig.submit(steps=20_000) for _ in range(2)]
    supervisor = rig.start_worker("w")

    def at_work(job: Job) -> bool:
        return job.state is JobState.RUNNING and job.progress.current > 0

    running = [rig.wait(job, at_work) for job in jobs]
    assert {job.worker for job in running} == {"w@test-gpu0", "w@test-gpu2"}
    assert {one.name for one in rig.services.queue_stats.workers()} == {"w@test-gpu0", "w@test-gpu2"}
    supervisor.terminate()
    assert supervisor.wait(timeout=60) == 0
    for job in map(rig.services.ledger.get, jobs):
        assert (job.state, job.attempts) == (JobState.QUEUED, 0)
        assert job.checkpoint
    assert rig.services.queue_stats.workers() == []


def command_line(gpus: str, environment: Mapping[str, str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "worker", "start", "--gpus", gpus]
    done = subprocess.run(command, env=dict(environment), cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, " ".join(done.stderr.split())


def test_where_there_is_no_driver_the_command_says_so_and_how_to_mend_it(tmp_path: Path) -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("there is a driver here")
    code, said = command_line("all", {**os.environ, "EASEL_CACHE": str(tmp_path)})
    assert code == 1
    assert "There is no NVIDIA driver here" in said
    assert said.endswith("(gpu_unavailable)")


def test_a_tensorflow_without_cuda_is_named_as_the_reason(three_gpus: Mapping[str, str]) -> None:
    code, said = command_line("0,2", three_gpus)
    assert code == 1
    assert "(tensorflow-cpu) cannot use a GPU; install deploy/locks/worker-gpu.txt" in said


GPUS = [Gpu(f"gpu{number}", f"GPU-{number}", "none", 0) for number in range(3)]


def test_gpus_are_chosen_by_their_numbers_each_once() -> None:
    assert [gpu.label for gpu in numbered(GPUS, "2, 0,2")] == ["gpu2", "gpu0"]


@pytest.mark.parametrize(("wanted", "unknown"), [("1,3", "'3'"), ("", "''"), ("0;1", "'0;1'"), ("-1", "'-1'")])
def test_a_gpu_that_is_not_there_is_named_with_those_that_are(wanted: str, unknown: str) -> None:
    with pytest.raises(GpuUnavailable, match=f"There is no GPU {unknown} here; choose from 0, 1, 2"):
        numbered(GPUS, wanted)
