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

from easel.cli import app as easel
from shared.dispatch import queue_name
from shared.settings import Settings
from worker.celery_app import Worker
from worker.cli import app as easel_worker

DEPLOY = ROOT / "deploy"
DOCKERFILES = sorted(DEPLOY.glob("*.Dockerfile"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
EVERYTHING = [*DOCKERFILES, DEPLOY / "compose.yaml", ROOT / "Makefile", *DOCUMENTS]

VARIABLES = {f"EASEL_{name.upper()}" for name in Settings.model_fields} | {"EASEL_URL", "EASEL_API_KEY"}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name(name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_compose_file_obeys_the_compose_specification() -> None:
    checked = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_satisfies_the_linter(dockerfile: Path) -> None:
    checked = tool("hadolint", "--failure-threshold", "info", dockerfile)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: path.name)
def test_every_variable_that_is_named_is_a_setting(path: Path) -> None:
    assert set(re.findall(r"\bEASEL_[A-Z0-9_]*[A-Z0-9]\b", path.read_text())) <= VARIABLES


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_everything_that_is_copied_into_an_image_exists(dockerfile: Path) -> None:
    default = dict(re.findall(r"^ARG (\w+)=(\S+)", dockerfile.read_text(), re.MULTILINE))
    sources = re.findall(r"^COPY (\S+)", dockerfile.read_text(), re.MULTILINE)
    for source in sources:
        assert (ROOT / re.sub(r"\$\{(\w+)\}", lambda found: default[found[1]], source)).exists()


def commands() -> list[list[str]]:
    """Every `python -m ...` that the images and the compose file run."""
    ends = [re.search(r"^CMD (\[.*\])", path.read_text(), re.MULTILINE) for path in DOCKERFILES]
    found = [yaml.safe_load(end[1]) for end in ends if end]
    found += [service["command"] for service in compose()["services"].values() if "command" in service]
    return [command for command in found if command[:2] == ["python", "-m"]]


@pytest.mark.parametrize("command", commands(), ids=shlex.join)
def test_every_command_that_a_container_runs_exists(command: list[str]) -> None:
    module, *words = command[2:]
    assert importlib.util.find_spec(f"{module}.__main__")
    if module == "worker":
        assert words[0] in get_command(easel_worker).commands  # type: ignore[attr-defined]


def test_the_ports_agree() -> None:
    text = (DEPLOY / "api.Dockerfile").read_text()
    port = str(Settings.model_fields["port"].default)
    assert re.findall(r"EXPOSE (\d+)|EASEL_PORT=(\d+)|127\.0\.0\.1:(\d+)", text) == [
        ("", port, ""),
        (port, "", ""),
        ("", "", port),
    ]
    assert compose()["services"]["api"]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_every_queue_on_which_bells_ring_has_a_consumer() -> None:
    settings = Settings()
    heard = Worker(settings, "w@test").options()[2].removeprefix("--queues=").split(",")
    assert heard == [queue_name(tier) for tier in settings.tiers]


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = re.findall(r"(?:`|^\s*)make ([a-z][a-z-]*)", document.read_text(), re.MULTILINE)
        assert set(named) <= targets, document.name


def test_every_command_that_a_document_names_exists() -> None:
    known = {"easel": get_command(easel).commands, "easel-worker": get_command(easel_worker).commands}  # type: ignore[attr-defined]
    for document in DOCUMENTS:
        for program, command in re.findall(
            r"(?:`|^\s*|bin/)(easel(?:-worker)?) ([a-z]+)", document.read_text(), re.MULTILINE
        ):
            assert command in known[program], f"{document.name}: {program} {command}"


def test_what_must_pass_before_a_change_lands_is_all_of_the_tests() -> None:
    ran = re.findall(r"tests/[a-z]+", (ROOT / ".ci/run").read_text())
    assert set(ran) == {f"tests/{path.relative_to(ROOT).parts[1]}" for path in ROOT.glob("tests/*/**/test_*.py")}
