"""The memory that a worker registers: detected from the machine and its limits, or a share set by the stack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.requirements import ROOT

from deploy.local.stack import Stack, StackConfig
from shared.settings import InvalidSettings, Settings
from worker.devices import memory
from worker.devices.memory import WorkerMemory, engine_memory, expected_memory, machine_memory

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
SMALL, SMALLER = 300 * 2**20, 200 * 2**20
NONE_V1 = 2**63 - 4096

MACHINES: dict[str, tuple[str, dict[str, object], int]] = {
    "without cgroups": ("", {}, PHYSICAL),
    "version 2, without limits": ("0::/a/b", {"a/memory.max": "max", "a/b/memory.max": "max"}, PHYSICAL),
    "version 2, own group": ("0::/a/b", {"a/memory.max": "max", "a/b/memory.max": SMALL}, SMALL),
    "version 2, parent group": ("0::/a/b", {"a/memory.max": SMALLER, "a/b/memory.max": SMALL}, SMALLER),
    "version 2, in a container": ("0::/", {"memory.max": SMALL}, SMALL),
    "version 2, unrelated group": ("0::/a", {"b/memory.max": SMALL}, PHYSICAL),
    "version 2, above the physical memory": ("0::/a", {"a/memory.max": 2 * PHYSICAL}, PHYSICAL),
    "version 1, without limits": ("4:memory:/a", {"memory/memory.limit_in_bytes": NONE_V1}, PHYSICAL),
    "version 1, own group": ("4:cpu,memory:/a\n0::/", {"memory/a/memory.limit_in_bytes": SMALL}, SMALL),
    "version 1, in a container": ("4:memory:/docker/x", {"memory/memory.limit_in_bytes": SMALL}, SMALL),
    "version 1, another controller": ("4:cpu:/a", {"memory/a/memory.limit_in_bytes": SMALL}, PHYSICAL),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_smallest_applicable_limit_counts(machine: str, tmp_path: Path) -> None:
    groups, limits, expected = MACHINES[machine]
    for path, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{p}": v for p, v in limits.items()}}.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    assert machine_memory(tmp_path) == expected


def test_without_cgroups_the_physical_memory_counts(tmp_path: Path) -> None:
    assert machine_memory(tmp_path) == PHYSICAL


def test_a_configured_size_overrides_detection_with_and_without_a_gpu() -> None:
    assert engine_memory(7, on_gpu=True) == WorkerMemory("gpu", 7)
    assert engine_memory(7, on_gpu=False) == WorkerMemory("host", 7)
    assert engine_memory(0, on_gpu=False) == WorkerMemory("host", machine_memory())


@pytest.mark.parametrize("on_gpu", [True, False])
def test_a_share_applies_to_the_memory_of_the_device_that_the_engine_uses(
    *, on_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "first_gpu_memory", lambda: 80 * 2**30)
    monkeypatch.setattr(memory, "machine_memory", lambda: 12 * 2**30)
    expected = WorkerMemory("gpu", 20 * 2**30) if on_gpu else WorkerMemory("host", 3 * 2**30)
    assert engine_memory(share=0.25, on_gpu=on_gpu) == expected
    assert engine_memory(7, 0.25, on_gpu=on_gpu).size == 7, "a size in bytes is not shared"


@pytest.mark.parametrize("tensorflow_for_gpus", [True, False])
def test_the_memory_expected_at_the_start_is_the_same_share(
    *, tensorflow_for_gpus: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "first_gpu_memory", lambda: 80 * 2**30)
    monkeypatch.setattr(memory, "tensorflow_supports_gpus", lambda: tensorflow_for_gpus)
    assert expected_memory(share=0.5) == engine_memory(share=0.5, on_gpu=tensorflow_for_gpus)


@pytest.mark.parametrize("share", [0, 1.01])
def test_a_share_is_above_zero_and_at_most_one(share: float) -> None:
    with pytest.raises(InvalidSettings, match="EASEL_MEMORY_SHARE"):
        Settings(memory_share=share)


def stack_environment(folder: Path, workers: int) -> dict[str, str]:
    return Stack(StackConfig(folder, folder, 0, workers), folder)._environment


@pytest.mark.parametrize("workers", [1, 3])
def test_the_workers_of_a_stack_have_equal_shares_and_no_configured_size(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EASEL_MEMORY_SHARE", raising=False)
    environment = stack_environment(tmp_path, workers)
    assert float(environment["EASEL_MEMORY_SHARE"]) == 1 / workers
    assert "EASEL_MEMORY_BYTES" not in environment, "each worker inherits the operator's value"


def test_the_operators_share_overrides_the_stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_MEMORY_SHARE", "0.2")
    assert stack_environment(tmp_path, 3)["EASEL_MEMORY_SHARE"] == "0.2"


@pytest.mark.parametrize(("variables", "expected"), [({}, "true"), ({"TF_FORCE_GPU_ALLOW_GROWTH": "false"}, "false")])
def test_gpu_memory_grows_on_demand_unless_the_operator_disables_that(variables: dict[str, str], expected: str) -> None:
    code = "import os, worker; print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")} | variables
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected
