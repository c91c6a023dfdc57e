"""The files under deploy/ name only commands, variables, ports and paths that exist."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.requirements import ROOT
from typer.main import get_command

from shared.dispatch import queue_name
from shared.settings import Settings
from worker.celery_app import CeleryWorker
from worker.cli import app as easel_worker

DEPLOY = ROOT / "deploy"
DOCKERFILES = sorted(DEPLOY.glob("*.Dockerfile"))
NAMING_VARIABLES = [*DOCKERFILES, DEPLOY / "compose.yaml", ROOT / "Makefile"]
VARIABLES = {f"EASEL_{name.upper()}" for name in Settings.model_fields}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name(name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def container_commands() -> list[list[str]]:
    """Every `python -m ...` and `easel-worker ...` that the images and the Compose file run."""
    ends = [re.search(r"^CMD (\[.*\])", path.read_text(), re.MULTILINE) for path in DOCKERFILES]
    commands = [yaml.safe_load(end[1]) for end in ends if end]
    commands += [service["command"] for service in compose()["services"].values() if "command" in service]
    return [command for command in commands if command[:2] == ["python", "-m"] or command[0] == "easel-worker"]


def test_the_compose_file_follows_the_compose_specification() -> None:
    checked = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_passes_the_linter(dockerfile: Path) -> None:
    checked = tool("hadolint", "--failure-threshold", "info", dockerfile)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", NAMING_VARIABLES, ids=lambda path: path.name)
def test_every_variable_is_a_setting(path: Path) -> None:
    assert set(re.findall(r"\bEASEL_[A-Z0-9_]*[A-Z0-9]\b", path.read_text())) <= VARIABLES


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_everything_that_is_copied_into_an_image_exists(dockerfile: Path) -> None:
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)", dockerfile.read_text(), re.MULTILINE))
    for source in re.findall(r"^COPY (\S+)", dockerfile.read_text(), re.MULTILINE):
        assert (ROOT / re.sub(r"\$\{(\w+)\}", lambda match: defaults[match[1]], source)).exists()


@pytest.mark.parametrize("command", container_commands(), ids=shlex.join)
def test_every_command_that_a_container_runs_exists(command: list[str]) -> None:
    if command[0] == "easel-worker":
        assert command[1] in get_command(easel_worker).commands  # type: ignore[attr-defined]
    else:
        assert importlib.util.find_spec(f"{command[2]}.__main__")


def test_the_ports_agree() -> None:
    text = (DEPLOY / "api.Dockerfile").read_text()
    port = str(Settings.model_fields["port"].default)
    assert re.findall(r"EXPOSE (\d+)|EASEL_PORT=(\d+)|127\.0\.0\.1:(\d+)", text) == [
        ("", port, ""),
        (port, "", ""),
        ("", "", port),
    ]
    assert compose()["services"]["api"]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_every_celery_queue_has_a_consumer() -> None:
    settings = Settings()
    consumed = CeleryWorker(settings, "w@test").options()[2].removeprefix("--queues=").split(",")
    assert consumed == [queue_name(tier) for tier in settings.tiers]
