"""What memory a worker states: found out from the machine and its limits, shared out by the stack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from missing import ROOT

from deploy.stack import Plan, Stack
from worker.memory import WorkerMemory, engine_memory, expected_memory, machine_memory

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
SMALL, SMALLER = 300 * 2**20, 200 * 2**20
NONE_V1 = 2**63 - 4096

MACHINES: dict[str, tuple[str, dict[str, object], int]] = {
    "without groups": ("", {}, PHYSICAL),
    "version 2, without limits": ("0::/a/b", {"a/memory.max": "max", "a/b/memory.max": "max"}, PHYSICAL),
    "version 2, the own group": ("0::/a/b", {"a/memory.max": "max", "a/b/memory.max": SMALL}, SMALL),
    "version 2, a group above": ("0::/a/b", {"a/memory.max": SMALLER, "a/b/memory.max": SMALL}, SMALLER),
    "version 2, in a container": ("0::/", {"memory.max": SMALL}, SMALL),
    "version 2, another's group": ("0::/a", {"b/memory.max": SMALL}, PHYSICAL),
    "version 2, more than there is": ("0::/a", {"a/memory.max": 2 * PHYSICAL}, PHYSICAL),
    "version 1, without limits": ("4:memory:/a", {"memory/memory.limit_in_bytes": NONE_V1}, PHYSICAL),
    "version 1, the own group": ("4:cpu,memory:/a\n0::/", {"memory/a/memory.limit_in_bytes": SMALL}, SMALL),
    "version 1, in a container": ("4:memory:/docker/x", {"memory/memory.limit_in_bytes": SMALL}, SMALL),
    "version 1, of another controller": ("4:cpu:/a", {"memory/a/memory.limit_in_bytes": SMALL}, PHYSICAL),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_smallest_limit_that_binds_is_found(machine: str, tmp_path: Path) -> None:
    groups, limits, expected = MACHINES[machine]
    for path, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{p}": v for p, v in limits.items()}}.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    assert machine_memory(tmp_path) == expected


def test_a_system_without_groups_has_its_physical_memory(tmp_path: Path) -> None:
    assert machine_memory(tmp_path) == PHYSICAL


def test_a_size_that_is_set_overrides_what_is_found_on_a_gpu_and_without_one() -> None:
    assert engine_memory(7, on_gpu=True) == WorkerMemory("gpu", 7)
    assert engine_memory(7, on_gpu=False) == WorkerMemory("host", 7)
    assert engine_memory(0, on_gpu=False) == WorkerMemory("host", machine_memory())


def test_the_workers_of_a_stack_share_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EASEL_MEMORY_BYTES", raising=False)
    three = Stack(Plan(tmp_path, tmp_path, 0, workers=3), tmp_path)
    assert three._environment["EASEL_MEMORY_BYTES"] == str(expected_memory().size // 3)


def test_the_operator_knows_better_than_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_MEMORY_BYTES", "1000")
    assert Stack(Plan(tmp_path, tmp_path, 0, workers=3), tmp_path)._environment["EASEL_MEMORY_BYTES"] == "1000"


@pytest.mark.parametrize(("told", "expected"), [({}, "true"), ({"TF_FORCE_GPU_ALLOW_GROWTH": "false"}, "false")])
def test_a_gpu_is_not_filled_by_one_process_unless_the_operator_says_so(told: dict[str, str], expected: str) -> None:
    asked = "import os, worker; print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")} | told
    said = subprocess.run(
        [sys.executable, "-c", asked], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == expected
