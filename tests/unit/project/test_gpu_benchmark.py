"""`python -m benchmarks.gpu` without a GPU: its measurements run at 64 pixels, and no result is rated.

To keep this file under a minute on two cores, some parts do not run here:

- `default_job` starts the whole stack for each width.
- Short runs run in one process. tests/gpu tests that a second one gives the same bytes.
- `fast` and `reference_jit` spend most of their time in XLA's compiler. `step_adam` runs the compiled fast path, which
  the engine uses on a CPU.
- `reference_nondeterministic`, `reference_grappler`, `reference_remapper_only` and `reference_inter_op_default` differ
  from others only by an option of TensorFlow.
- `reference_nchw` needs a GPU.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.engine.workload import Workload, best_weights
from benchmarks.figure import Figure, percentiles
from benchmarks.gpu import short_run
from benchmarks.gpu.lbfgs_update import lbfgs_update
from benchmarks.gpu.report import Row, Rows
from benchmarks.gpu.rounds import QUICK, Rounds
from benchmarks.gpu.stage_start import stage_start
from benchmarks.gpu.variants import REFERENCE, measure_variants
from benchmarks.measurement_runner import MeasurementRunner
from benchmarks.processes import run_module
from rich.console import Console
from support.requirements import ROOT

pytestmark = pytest.mark.slow
ONCE = Rounds(count=1, steps=1, warm_up=0)
VARIANTS = (REFERENCE, "reference_unpruned", "reference_bfloat16", "fast_uncompiled")
CHEAP = ("--quick", "--widths", "64", "--only", "step_adam,variants", "--variants", REFERENCE)


@pytest.fixture
def workload(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Workload:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("EASEL_WEIGHTS", str(random_weights))
    return Workload(64, best_weights())


def _medians(rows: Rows) -> dict[str, float]:
    return {row.name: row.easel.median for row in rows}


@pytest.mark.usefixtures("workload")
def test_steps_and_variants_are_measured_but_not_rated(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", *CHEAP, "--out", str(tmp_path / "gpu.json")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    completed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr[-3000:]
    assert "no GPU, so these results mean nothing" in completed.stderr
    results = json.loads(completed.stdout.splitlines()[-1])
    assert results == json.loads((tmp_path / "gpu.json").read_text())
    assert results["gpu"] is False
    row = results["rows"]["step_adam_64"]
    assert row["rating"] is None
    assert {side: row[side]["median"] > 0 for side in ("easel", "tutorial")} == {"easel": True, "tutorial": True}
    reference = results["variants"]["64"][REFERENCE]
    assert reference["milliseconds"]["median"] > 0
    assert (reference["loss_difference"], reference["gradient_difference"]) == (0, 0)


def test_each_variant_computes_the_loss_and_gradient_of_the_reference(workload: Workload) -> None:
    runner = MeasurementRunner(Console(stderr=True))
    variants = measure_variants(workload, VARIANTS, ONCE, runner)
    assert not runner.failed
    assert variants.keys() == set(VARIANTS)
    for name, variant in variants.items():
        loss, gradient = (0.02, 0.5) if "bfloat16" in name else (1e-5, 1e-3)
        assert variant.loss_difference == pytest.approx(0, abs=loss), name
        assert variant.gradient_difference == pytest.approx(0, abs=gradient), name


def test_a_step_of_lbfgs_is_measured_together_with_a_plain_evaluation(workload: Workload) -> None:
    medians = _medians(lbfgs_update(workload, QUICK))
    assert medians.keys() == {"lbfgs_update_64", "lbfgs_step_64", "evaluation_64"}
    assert min(medians["lbfgs_step_64"], medians["evaluation_64"]) > 0


def test_a_start_at_a_new_size_is_measured(workload: Workload) -> None:
    assert _medians(stage_start(workload, 1))["stage_start_64"] > 0


def test_short_runs_report_the_digests_of_their_images_and_no_gpu_memory(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = run_module("benchmarks.gpu.short_run", "64")
    monkeypatch.setattr(short_run, "run_module", lambda *_: line)  # instead of two processes
    assert {len(run["digest"]) for run in json.loads(line).values()} == {64}
    assert _medians(short_run.memory_and_bytes(workload)) == {
        "peak_memory_tutorial_64": 0,
        "peak_memory_default_64": 0,
        "different_bytes_64": 0,
    }


@pytest.mark.parametrize(("median", "rating"), [(3.9, "aim"), (4.5, "pass"), (5.1, "fail")])
def test_a_row_is_rated_by_its_median(median: float, rating: str) -> None:
    assert Row("step_adam_512", "ms", Figure(median, 0, 9)).rating == rating
    assert Row("evaluation_512", "ms", Figure(median, 0, 9)).rating is None


def test_a_spread_is_from_the_10th_to_the_90th_percentile() -> None:
    assert percentiles(range(101)) == Figure(50, 10, 90)
    assert percentiles([7]) == Figure(7, 7, 7)
