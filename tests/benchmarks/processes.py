"""Parts of the benchmarks that need a process of their own."""

import os
import subprocess
import sys

from benchmarks.house import ROOT


def run_alone(module: str, *arguments: str) -> str:
    """What `python -m module arguments` wrote last. Raises RuntimeError with its complaints where it failed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-m", module, *arguments]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stderr[-3000:]}")
    return ran.stdout.strip().splitlines()[-1]
