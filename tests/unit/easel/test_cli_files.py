"""The files that the `easel` command reads and writes, and text that is not markup."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from support.command_line import SUCCEEDED, SUCCEEDED_STREAM, run_easel
from support.requirements import ROOT
from support.scripted_server import JOB, reply, serve

from easel.terminal.files import check_output

pytestmark = pytest.mark.usefixtures("short_pauses")


def run_process(*arguments: str, url: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from easel.cli import main; main()", "--url", url, *arguments]
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("missing[/b]/out.png", "There is no folder"),
        ("a-file/out.png", "There is no folder"),
        (".", "is a folder; name a file"),
        ("out.bmp", "Files that end with .bmp cannot be written. Choose .png, .jpg"),
    ],
)
def test_an_output_that_cannot_be_written_is_found_before_any_request(
    tmp_path: Path, output: str, problem: str
) -> None:
    photo = tmp_path / "a-file"
    photo.write_bytes(b"photo")
    with pytest.raises(typer.BadParameter, match=problem):
        check_output(tmp_path / output)
    result, requests = run_easel("submit", str(photo), str(photo), "-o", str(tmp_path / output))
    assert (result.exit_code, requests) == (2, [])


def test_an_image_comes_from_standard_input_and_the_result_goes_to_standard_output(tmp_path: Path) -> None:
    painting, photo, result = tmp_path / "painting.jpg", b"\x00\r\n\xff photo", b"\x89PNG\r\n\x1a\n\x00"
    painting.write_bytes(b"painting")
    with serve(reply(JOB, 202), SUCCEEDED_STREAM, reply(SUCCEEDED), reply(result)) as server:
        done = run_process("submit", "-", str(painting), "-o", "-", url=server.url, stdin=photo)
    assert (done.returncode, done.stdout) == (0, result), done.stderr
    assert photo in server.requests[0].body
    assert b"succeeded" in done.stderr


def test_standard_input_has_only_one_image() -> None:
    result, requests = run_easel("submit", "-", "-")
    assert (result.exit_code, requests) == (2, [])
    assert "Standard input has one image" in result.stderr


def test_file_names_and_messages_are_not_markup(tmp_path: Path) -> None:
    output = tmp_path / "[red]out[b].png"
    result, _ = run_easel("result", "x", "-o", str(output), responders=(reply(JOB), reply(b"PNG")))
    assert (result.exit_code, output.read_bytes()) == (0, b"PNG")
    assert "[red]out[b].png" in result.stderr
    refusal = reply({"status": 422, "code": "invalid_recipe", "detail": "[/x]: unknown\x1b[2J parameter"}, 422)
    result, _ = run_easel("status", "x", responders=(refusal,))
    assert "[/x]: unknown\ufffd[2J parameter" in result.stderr


def test_names_from_the_service_are_not_markup() -> None:
    named = {**JOB, "recipe": {"preset": "[/b]", "size": 64}, "worker": "[/c]", "tier": "[/d]"}
    result, _ = run_easel("list", responders=(reply({"jobs": [named], "next_cursor": None}),))
    assert (result.exit_code, "[/b] 64 px" in result.stdout) == (0, True)
    result, _ = run_easel("status", "x", responders=(reply(named),))
    assert "[/c]" in result.stdout


def test_an_early_finish_has_a_number_of_steps_instead_of_a_percentage() -> None:
    progress = {"phase": "done", "current": 5, "total": 60, "percentage": 8}
    early = {**SUCCEEDED, "stopped_early": True, "progress": progress}
    result, _ = run_easel("list", responders=(reply({"jobs": [early, SUCCEEDED], "next_cursor": None}),))
    assert "succeeded early" in result.stdout
    assert "5 steps" in result.stdout
    assert "8 %" not in result.stdout
    assert "100 %" in result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))
    result, _ = run_easel("--show-completion")
    assert (result.exit_code, f"complete_{shell}" in result.stdout) == (0, True), result.output
