"""A short `make chaos`: all faults are injected and every guarantee holds. With a broken fence the audit fails."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chaos.audit.guarantees import CHECKS
from chaos.audit.tables import GUARANTEES
from chaos.faults import FAULTS
from support.requirements import PYTHONPATH, ROOT, part_missing

CHECKED = ("lost", "duplicated", "stale_writes", "differing_images", "changed_final_states", "canceled_with_result")
CHECKED += ("partial_batches", "undelivered", "wrong_deliveries", "foreign_jobs")


def chaos(out: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Return (exit code, the JSON line, stderr)."""
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    command = [sys.executable, "-m", "chaos", "--out", str(out), *options]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout, ran.stderr
    assert json.loads(ran.stdout) == json.loads(out.read_text())
    return ran.returncode, json.loads(ran.stdout), ran.stderr


@pytest.mark.timeout(1500)
def test_no_job_is_lost_or_done_twice_under_any_fault(tmp_path: Path) -> None:
    if not (ROOT / ".venv-s3/ready").exists():
        part_missing("no S3 server is installed: run `make .venv-s3/ready`")
    code, summary, stderr = chaos(tmp_path / "chaos.json", "--duration", "60", "--workers", "4", "--jobs", "30")
    assert code == 0, stderr
    assert {name: summary[name] for name in CHECKED} == dict.fromkeys(CHECKED, 0)
    assert set(summary["faults"]) == set(FAULTS)
    assert summary["stores"] == ["local", "s3"]
    assert summary["rendered_by_tensorflow"] > 0
    assert summary["kills"] > 10
    assert summary["batches"] > 0
    assert summary["webhooks_delivered"] >= summary["jobs"]


@pytest.mark.timeout(600)
def test_a_broken_fence_is_reported(tmp_path: Path) -> None:
    only = ("--store", "local", "--no-tensorflow", "--workers", "3", "--duration", "12")
    only += ("--faults", "sigstop_past_lease", "--settle-seconds", "10")
    code, summary, stderr = chaos(tmp_path / "chaos.json", "--broken-fence", *only)
    assert code == 1
    assert summary["stale_writes"] > 0
    assert "while no worker held the job" in stderr


def test_the_table_of_guarantees_has_a_row_for_each_check() -> None:
    assert list(GUARANTEES) == [check.__name__ for check in CHECKS]
