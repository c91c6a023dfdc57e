"""The wheel that strangers install."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.requirements import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_easel_alone_with_its_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "easel").rglob("*.py")}
    assert names == sources | {"easel/py.typed"}


def test_the_client_works_beside_other_packages_named_as_the_servers_are(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path)
    for name in ("api", "shared", "worker", "deploy"):
        (tmp_path / f"{name}.py").write_text(f"OWN = {name!r}\n")
    (tmp_path / "program.py").write_text(
        "import api, shared, worker, deploy\n"
        "from easel import AsyncEasel, Easel\n"
        "assert api.OWN == 'api' and shared.OWN == 'shared'\n"
        "with Easel('http://127.0.0.1:9') as easel:\n"
        "    url: str = easel.base_url\n"
    )
    subprocess.run([sys.executable, "program.py"], cwd=tmp_path, check=True)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
