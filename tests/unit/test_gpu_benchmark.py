"""`python -m benchmarks.gpu` without a GPU: it measures, and claims nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.figure import Figure, percentiles
from benchmarks.gpu.report import Row
from missing import ROOT

WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT / "tests")}
CHEAP = ("--quick", "--widths", "64", "--only", "step_adam,variants", "--variants", "reference,reference_unpruned")


def test_steps_and_variants_are_measured_and_judged_by_nothing(random_weights: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", *CHEAP, "--out", str(tmp_path / "gpu.json")]
    environment = os.environ | WITHOUT_GPU | {"EASEL_WEIGHTS": str(random_weights)}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "no GPU, so nothing here counts" in ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found == json.loads((tmp_path / "gpu.json").read_text())
    assert found["gpu"] is False
    row = found["rows"]["step_adam_64"]
    assert row["verdict"] is None
    assert {side: row[side]["median"] > 0 for side in ("easel", "tutorial")} == {"easel": True, "tutorial": True}
    unpruned = found["variants"]["64"]["reference_unpruned"]
    assert unpruned["milliseconds"]["median"] > 0
    assert (unpruned["loss_difference"], unpruned["gradient_difference"]) == pytest.approx((0, 0), abs=1e-5)


@pytest.mark.parametrize(("median", "verdict"), [(3.9, "aim"), (4.5, "pass"), (5.1, "fail")])
def test_a_row_is_judged_by_its_median(median: float, verdict: str) -> None:
    assert Row("step_adam_512", "ms", Figure(median, 0, 9)).verdict == verdict
    assert Row("evaluation_512", "ms", Figure(median, 0, 9)).verdict is None


def test_a_spread_is_from_the_10th_to_the_90th_percentile() -> None:
    assert percentiles(range(101)) == Figure(50, 10, 90)
    assert percentiles([7]) == Figure(7, 7, 7)
