"""What is installed."""

import subprocess
import sys
import zipfile
from pathlib import Path

from missing import ROOT


def test_a_wheel_holds_the_pages_and_all_else_that_is_no_python(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        packed = set(opened.namelist())
    folders = [ROOT / "api" / "page", ROOT / "api" / "templates", ROOT / "shared" / "lua"]
    assert {path.relative_to(ROOT).as_posix() for folder in folders for path in folder.iterdir()} <= packed
