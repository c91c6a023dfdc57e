"""`easel-worker stylize`: errors are one sentence, before any work, and the ending decides the format."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from support.requirements import ROOT

from shared.errors import InvalidRecipe
from shared.presets import resolve
from worker.cli import _check_files, _check_saved, _recipe


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.json", None, r"cannot be read \(No such file"),
        ("a[/b", None, r"a\[/b cannot be read"),
        ("broken.json", "{", "is not a JSON object"),
        ("list.json", "[1]", "is not a JSON object"),
        ("latin1.json", b"{\xe9}", "is not a JSON object"),
        ("unknown.json", '{"stlye_weight": 1}', "did you mean style_weight"),
    ],
)
def test_a_recipe_file_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, name: str, content: str | bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InvalidRecipe, match=message):
        _recipe(str(tmp_path / name), None, None)


@pytest.mark.parametrize("name", ["defualt", "x[b]", "[x"])
def test_an_unknown_preset_is_one_sentence(name: str) -> None:
    with pytest.raises(InvalidRecipe, match="Unknown preset"):
        _recipe(name, None, None)


@pytest.mark.parametrize("output", ["a-file/x.png", "folder", "x.bmp"])
def test_an_output_that_cannot_be_written_is_found_before_any_work(tmp_path: Path, output: str) -> None:
    (tmp_path / "a-file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(typer.BadParameter):
        _check_files(tmp_path / output, None)


def test_saved_iterations_need_an_output_file_beside_which_they_are_written(tmp_path: Path) -> None:
    recipe = resolve({"save_every": 10})
    _check_saved(recipe, tmp_path / "out.png")
    with pytest.raises(typer.BadParameter, match="name a file"):
        _check_saved(recipe, Path("-"))


def stylize(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "worker", "stylize", *arguments, "--recipe", "patches", "--size", "64"]
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, check=False)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "[b].png"
    pixels = np.random.default_rng(3).integers(0, 255, (64, 80, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.slow
def test_the_ending_decides_the_format_whatever_the_name(photo: Path) -> None:
    output = os.fsdecode(os.fsencode(photo.with_name("[red]r")) + b"\xe9sultat.jpg")
    done = stylize(str(photo), str(photo), "-o", output)
    assert done.returncode == 0, done.stderr
    with Image.open(output) as image:
        assert image.format == "JPEG"
    assert b"[red]r" in done.stderr


@pytest.mark.slow
def test_images_can_be_piped_and_an_unreadable_one_is_one_sentence(photo: Path) -> None:
    done = stylize("-", str(photo), "-o", "-", stdin=photo.read_bytes())
    assert (done.returncode, done.stdout[:8]) == (0, b"\x89PNG\r\n\x1a\n"), done.stderr
    done = stylize("-", str(photo), "-o", "-", stdin=json.dumps({}).encode())
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.splitlines()[-1].startswith(b"easel: Standard input: The file is not an image")
    assert b"Traceback" not in done.stderr
