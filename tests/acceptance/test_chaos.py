"""`make chaos`, short: everything breaks and no promise does; where one is broken on purpose, the report says so."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chaos.faults import FAULTS
from support.requirements import ROOT, part_missing

PROMISES = ("lost", "duplicated", "trespasses", "differing_pictures", "left_terminal", "results_of_canceled")


def chaos(out: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """(exit code, the JSON line, what people were told)."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])}
    command = [sys.executable, "-m", "chaos", "--out", str(out), *options]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout, ran.stderr
    assert json.loads(ran.stdout) == json.loads(out.read_text())
    return ran.returncode, json.loads(ran.stdout), ran.stderr


@pytest.mark.timeout(1500)
def test_whatever_breaks_no_job_is_lost_and_none_is_done_twice(tmp_path: Path) -> None:
    if not (ROOT / ".venv-s3/ready").exists():
        part_missing("no S3 server is installed: run `make .venv-s3/ready`")
    code, found, told = chaos(tmp_path / "chaos.json", "--duration", "100", "--workers", "4", "--jobs", "40")
    assert code == 0, told
    assert {name: found[name] for name in PROMISES} == dict.fromkeys(PROMISES, 0)
    assert set(found["faults"]) == set(FAULTS)
    assert found["stores"] == ["local", "s3"]
    assert found["painted_by_tensorflow"] > 0
    assert found["kills"] > 10


@pytest.mark.timeout(600)
def test_with_the_fence_broken_the_report_says_so(tmp_path: Path) -> None:
    only = ("--store", "local", "--no-paint", "--workers", "3", "--duration", "20", "--faults", "sigstop_past_lease")
    only += ("--peace", "20")
    code, found, told = chaos(tmp_path / "chaos.json", "--broken-fence", *only)
    assert code == 1
    assert found["trespasses"] > 0
    assert "while nobody held the job" in told
