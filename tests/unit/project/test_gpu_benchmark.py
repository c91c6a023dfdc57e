"""`python -m benchmarks.gpu` without a GPU: its parts run at 64 pixels, and no number is judged.

To keep this file near two minutes on two cores, some parts do not run here:

- `default_job` starts the whole stack for each width.
- Short runs run in one process. That a second one gives the same bytes is tested in tests/gpu.
- `fast` and `reference_jit` spend most of their time in XLA's compiler. `step_adam` runs the compiled fast path, which
  the engine takes on a processor.
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
from benchmarks.attempts import Attempts
from benchmarks.engine.scene import Scene, best_weights
from benchmarks.figure import Figure, percentiles
from benchmarks.gpu import short_run
from benchmarks.gpu.lbfgs_update import lbfgs_update
from benchmarks.gpu.report import Row, Rows
from benchmarks.gpu.rounds import QUICK, Rounds
from benchmarks.gpu.stage_start import stage_start
from benchmarks.gpu.variants import REFERENCE, measure_variants
from benchmarks.processes import run_alone
from rich.console import Console
from support.requirements import ROOT

ONCE = Rounds(count=1, steps=1, warm_up=0)
VARIANTS = (REFERENCE, "reference_unpruned", "reference_bfloat16", "fast_uncompiled")
CHEAP = ("--quick", "--widths", "64", "--only", "step_adam,variants", "--variants", REFERENCE)


@pytest.fixture
def scene(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("EASEL_WEIGHTS", str(random_weights))
    return Scene(64, best_weights())


def _medians(rows: Rows) -> dict[str, float]:
    return {row.name: row.easel.median for row in rows}


@pytest.mark.usefixtures("scene")
def test_steps_and_variants_are_measured_and_judged_by_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", *CHEAP, "--out", str(tmp_path / "gpu.json")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "no GPU, so nothing here counts" in ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found == json.loads((tmp_path / "gpu.json").read_text())
    assert found["gpu"] is False
    row = found["rows"]["step_adam_64"]
    assert row["verdict"] is None
    assert {side: row[side]["median"] > 0 for side in ("easel", "tutorial")} == {"easel": True, "tutorial": True}
    reference = found["variants"]["64"][REFERENCE]
    assert reference["milliseconds"]["median"] > 0
    assert (reference["loss_difference"], reference["gradient_difference"]) == (0, 0)


def test_each_variant_computes_the_loss_and_gradient_of_the_reference(scene: Scene) -> None:
    attempts = Attempts(Console(stderr=True))
    variants = measure_variants(scene, VARIANTS, ONCE, attempts)
    assert not attempts.failed
    assert variants.keys() == set(VARIANTS)
    for name, variant in variants.items():
        loss, gradient = (0.02, 0.5) if "bfloat16" in name else (1e-5, 1e-3)
        assert variant.loss_difference == pytest.approx(0, abs=loss), name
        assert variant.gradient_difference == pytest.approx(0, abs=gradient), name


def test_a_step_of_lbfgs_is_measured_beside_a_bare_evaluation(scene: Scene) -> None:
    found = _medians(lbfgs_update(scene, QUICK))
    assert found.keys() == {"lbfgs_update_64", "lbfgs_step_64", "evaluation_64"}
    assert min(found["lbfgs_step_64"], found["evaluation_64"]) > 0


def test_a_start_at_a_new_size_is_measured(scene: Scene) -> None:
    assert _medians(stage_start(scene, 1))["stage_start_64"] > 0


def test_short_runs_report_no_gpu_memory_without_a_gpu_and_their_pictures_digests(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = run_alone("benchmarks.gpu.short_run", "64")
    monkeypatch.setattr(short_run, "run_alone", lambda *_: line)  # both processes give what the one gave
    assert {len(run["digest"]) for run in json.loads(line).values()} == {64}
    assert _medians(short_run.memory_and_bytes(scene)) == {
        "peak_memory_tutorial_64": 0,
        "peak_memory_default_64": 0,
        "different_bytes_64": 0,
    }


@pytest.mark.parametrize(("median", "verdict"), [(3.9, "aim"), (4.5, "pass"), (5.1, "fail")])
def test_a_row_is_judged_by_its_median(median: float, verdict: str) -> None:
    assert Row("step_adam_512", "ms", Figure(median, 0, 9)).verdict == verdict
    assert Row("evaluation_512", "ms", Figure(median, 0, 9)).verdict is None


def test_a_spread_is_from_the_10th_to_the_90th_percentile() -> None:
    assert percentiles(range(101)) == Figure(50, 10, 90)
    assert percentiles([7]) == Figure(7, 7, 7)
