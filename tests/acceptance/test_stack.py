"""`make demo` and `make up`, with a small recipe and random weights."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from chaos.clients.images import SHALLOW
from PIL import Image
from support.fixtures.worker import sample_image
from support.requirements import ROOT

from deploy.local.stack import free_port
from easel import Easel

TINY = {"preset": "fast", "init": "content", "size": 64, "steps": 6, **SHALLOW}


@pytest.fixture
def marked(random_weights: Path) -> dict[str, str]:
    """An environment with a mark by which every process of the stack can be found."""
    return {**os.environ, "EASEL_WEIGHTS": str(random_weights), "MARK": secrets.token_hex(8)}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    sample_image(1).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by their environment")


def left_behind(environment: Mapping[str, str]) -> list[str]:
    """Return the command lines of all processes with the mark."""
    mark, found = f"MARK={environment['MARK']}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile
    return found


@needs_proc
def test_the_demo_renders_an_image_and_leaves_no_process_behind(
    tmp_path: Path, photo: Path, marked: dict[str, str]
) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    out = tmp_path / "out" / "demo.png"
    options = ["--recipe", str(tmp_path / "tiny.json"), "--content", str(photo), "--out", str(out)]
    command = [sys.executable, "-m", "deploy.local", "demo", *options]
    ran = subprocess.run(command, cwd=ROOT, env=marked, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stderr
    with Image.open(out) as made:
        assert made.size == (64, 48)
    assert json.loads(out.with_suffix(".json").read_text())["steps"] == 6
    assert "Weights: " in ran.stderr
    assert left_behind(marked) == []


def test_the_demo_refuses_a_file_that_is_not_an_image_before_it_starts_anything(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("not an image")
    options = ["--content", str(words), "--out", str(tmp_path / "out/demo.png")]
    command = [sys.executable, "-m", "deploy.local", "demo", *options]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"{words}: The file is not an image")
    assert "Starting" not in ran.stderr


@pytest.fixture
def up(tmp_path: Path, marked: dict[str, str]) -> Iterator["Up"]:
    stack = Up(tmp_path / "data", marked)
    yield stack
    stack.stop()


class Up:
    """`make up`, which a test can stop and start again."""

    def __init__(self, data: Path, environment: Mapping[str, str]) -> None:
        self.data, self.environment, self.port = data, environment, free_port()
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Easel:
        options = ["--port", str(self.port), "--data", str(self.data)]
        command = [sys.executable, "-u", "-m", "deploy.local", "up", *options]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "Easel is at" in line:
                return Easel(f"http://127.0.0.1:{self.port}")
        pytest.fail("the stack did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.communicate(timeout=90)
            finally:
                self.process.kill()


@needs_proc
def test_a_restarted_stack_has_all_its_jobs_and_continues(up: Up, photo: Path) -> None:
    with up.start() as easel:
        done = easel.submit(photo, photo, TINY)
        done.wait()
        long = easel.submit(photo, photo, {**TINY, "steps": 5000})
        for event in long.events():
            if event.kind == "progress" and event.data.progress.current > 0:
                break
    up.stop()
    assert left_behind(up.environment) == []
    with up.start() as easel:
        assert easel.get(done.id).result()[:4] == b"\x89PNG"
        long = easel.get(long.id)
        for event in long.events():
            if event.kind == "progress" and long.refresh().resumed_from_step is not None:
                break
        long.finish()
        assert long.wait().stopped_early
