"""The wheel of the client."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.requirements import ROOT

PROGRAM = """
import asyncio
import io
from datetime import datetime

import api, deploy, shared, worker
from easel import AsyncEasel, AsyncJob, Easel, Job, JobEvent, ProgressEvent, StateEvent, Unreachable

assert api.OWN == "api" and deploy.OWN == "deploy" and shared.OWN == "shared" and worker.OWN == "worker"


def describe(event: JobEvent) -> str:
    if event.kind == "preview":
        return f"{event.data.url} after {event.data.step} steps"
    if event.kind == "unknown":
        return event.name
    match event:
        case StateEvent(data=change):
            at: datetime = change.at
            return f"{change.state.value} since {at:%H:%M}"
        case ProgressEvent(data=report):
            percentage: float = report.progress.percentage
            return f"{percentage:.0f} %"
    return event.kind


def watch(easel: Easel) -> None:
    job: Job = easel.submit(io.BytesIO(b"photo"), ["style.jpg", b"style"], {"preset": "fast"})
    texts: list[str] = [describe(event) for event in job.events()]
    depths: list[int] = [
        event.data.tiers[0].depth for event in easel.queue_events() if event.kind == "queue"
    ]
    state: str = job.wait(timeout=1.5).state
    result: bytes = job.result()


async def watch_async(easel: AsyncEasel) -> None:
    job: AsyncJob = await easel.submit(io.BytesIO(b"photo"), ["style.jpg", b"style"], {"preset": "fast"})
    texts: list[str] = [describe(event) async for event in job.events()]
    state: str = (await job.wait(timeout=1.5)).state


async def main() -> None:
    async with AsyncEasel("http://127.0.0.1:9") as easel:
        url: str = easel.base_url


with Easel("http://127.0.0.1:9") as easel:
    url: str = easel.base_url
asyncio.run(main())
"""
MISTAKES = """
from easel import AsyncEasel, Easel, ProgressEvent


def use(easel: Easel, event: ProgressEvent) -> None:
    event.data.progress.percent  # mistake
    for queue_event in easel.queue_events():
        queue_event.data.tiers  # mistake
    easel.submit(1, b"style")  # mistake


async def use_async(easel: AsyncEasel) -> None:
    (await easel.get("x")).wait().state  # mistake
"""


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


def test_the_client_works_next_to_packages_with_the_servers_names(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path)
    for name in ("api", "shared", "worker", "deploy"):
        (tmp_path / f"{name}.py").write_text(f"OWN = {name!r}\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    subprocess.run([sys.executable, "program.py"], cwd=tmp_path, check=True)
    checked = mypy_strict(tmp_path, "program.py")
    assert checked.returncode == 0, checked.stdout


def test_mypy_finds_mistakes_in_the_use_of_typed_events(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path)
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    checked = mypy_strict(tmp_path, "mistakes.py")
    lines = [number for number, text in enumerate(MISTAKES.splitlines(), 1) if "# mistake" in text]
    errors = [line for line in checked.stdout.splitlines() if ": error: " in line]
    assert sorted({int(error.split(":")[1]) for error in errors}) == lines, checked.stdout


def mypy_strict(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", folder / "cache", program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
