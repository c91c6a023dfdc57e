"""The parts of `make scale`: its networks, its accounts and its measures of fairness."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.service.scale.accounts import Accounts, fairness, overtakings
from benchmarks.service.scale.network import missing_requirement, run_in_hub
from chaos.audit.job_history import JobHistory
from support.requirements import PYTHONPATH, ROOT

from easel.models import JobState
from shared.jobs.job import Job

COMMAND = [sys.executable, "-m", "benchmarks.service.scale"]
CONNECTIONS = """
import os, socket
from benchmarks.service.scale.network import HUB_ADDRESS, HUB_VARIABLE, Network
from benchmarks.service.scale.pool import enter

network = Network()
names = {worker: network.add(worker) for worker in ("one", "two")}
listening = socket.create_server((HUB_ADDRESS, 0))

def connects(worker, seconds):
    enter(names[worker])
    try:
        with socket.create_connection(listening.getsockname(), seconds):
            return True
    except OSError:
        return False
    finally:
        enter(os.environ[HUB_VARIABLE])

assert connects("one", 9) and connects("two", 9)
network.partition(["one"])
assert connects("two", 9) and not connects("one", 0.5)
network.heal(["one"])
assert connects("one", 9)
"""


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    values = {"PYTHONPATH": PYTHONPATH, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment}
    return subprocess.run(command, cwd=ROOT, env=values, capture_output=True, text=True, check=False)


@pytest.fixture
def namespaces() -> None:
    """Skip the test, on CI too, where network namespaces are not allowed."""
    if missing := missing_requirement():
        pytest.skip(missing)


def test_equal_shares_are_fair_and_a_single_winner_is_not() -> None:
    assert fairness(["a", "b", "a", "b"]) == 1
    assert fairness(["a"] * 9 + ["b"]) == pytest.approx(100 / (2 * 82))


def test_a_job_that_began_before_an_older_one_overtook_it() -> None:
    assert overtakings([1.0, 2.0, 3.0]) == 0
    assert overtakings([1.0, 3.0, 2.0]) == 1


@pytest.mark.parametrize(
    ("state", "history", "expected", "fault"),
    [
        (JobState.SUCCEEDED, JobHistory("a", ends=["succeeded"], results=["r"]), True, None),
        (JobState.RUNNING, JobHistory("a"), False, "lost"),
        (None, None, False, "lost"),
        (JobState.FAILED, JobHistory("a", ends=["failed"]), False, "failed"),
        (JobState.SUCCEEDED, JobHistory("a", ends=["succeeded"] * 2, results=["r"]), True, "duplicated"),
        (JobState.SUCCEEDED, JobHistory("a", ends=["succeeded"], results=["r", "s"]), True, "duplicated"),
        (
            JobState.SUCCEEDED,
            JobHistory("a", ends=["succeeded"], results=["r"], stale_writes=["x"]),
            True,
            "stale_writes",
        ),
        (JobState.SUCCEEDED, JobHistory("a", ends=["succeeded"], results=["r"]), False, "differing"),
    ],
)
def test_the_accounts_name_what_became_of_a_job(
    state: JobState | None, history: JobHistory | None, *, expected: bool, fault: str | None
) -> None:
    accounts = Accounts()
    accounts.add("a", Job.model_construct(state=state) if state else None, history, expected=expected)
    faults = {name for name, count in accounts.row().items() if count and name not in {"jobs", "succeeded"}}
    assert faults == ({fault} if fault else set())
    assert accounts.clean is (fault is None)


def test_without_network_namespaces_it_says_what_is_missing(tmp_path: Path) -> None:
    refused = run(COMMAND, PATH=str(tmp_path))
    assert refused.returncode == 2
    assert "network namespaces" in refused.stderr
    assert "iproute2" in refused.stderr


@pytest.mark.usefixtures("namespaces")
def test_a_worker_that_is_cut_off_reaches_nothing_until_it_is_connected_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    assert run_in_hub([sys.executable, "-c", CONNECTIONS]) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("namespaces", "s3_server")
def test_a_short_run_accounts_for_every_job(tmp_path: Path) -> None:
    out = tmp_path / "scale.json"
    ran = run([*COMMAND, "--workers", "1", "--steps", "1", "--no-tensorflow", "--out", str(out)])
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == out.read_text().strip()
    result = json.loads(out.read_text())
    assert result["of_linear"] == {"1": 1.0}
    assert result["jobs"] == result["succeeded"] > 0
    assert result["lost"] == result["duplicated"] == result["differing"] == 0
