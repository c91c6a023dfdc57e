"""A child process ends with its parent."""

import subprocess
import sys

import pytest
from support.requirements import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
@pytest.mark.parametrize(("parent", "runs"), [("os.getppid()", True), ("os.getpid()", False)])
def test_a_child_exits_if_its_parent_ended_before_the_signal_was_requested(parent: str, *, runs: bool) -> None:
    code = f"import os; from shared.process import end_with_parent; end_with_parent({parent}); print('runs')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == ((0, "runs\n") if runs else (1, ""))
