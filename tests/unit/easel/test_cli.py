"""The `easel` command's options, files and exit codes, against a server of a few lines."""

import json
import re
from pathlib import Path

import pytest
from support.command_line import ENDS, FAILED, SUCCEEDED, easel
from support.scripted_server import JOB, Answer, problem, says
from typer.testing import CliRunner

from easel.cli import app
from easel.terminal.command import EXIT_CODES, overlay

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "photo.jpg", tmp_path / "painting.jpg"]
    for path in paths:
        path.write_bytes(path.name.encode())
    return [str(path) for path in paths]


def test_submit_prints_the_id_alone_where_scripts_read(images: list[str]) -> None:
    result, _ = easel("submit", *images, answers=(says(JOB, 202),))
    assert result.exit_code == 0
    assert result.stdout == f"{JOB['id']}\n"
    assert f"easel watch {JOB['id']}" in result.stderr


def test_options_are_laid_over_the_recipe(images: list[str]) -> None:
    settings = ["--set", "style_weight=5", "--set", "optimizer.kind=adam", "--set", "optimizer.beta1=0.5"]
    options = ["--recipe", "fast", "--size", "128", "--steps", "9", "--tier", "batch", "--idempotency-key", "k1"]
    result, seen = easel("submit", *images, *options, *settings, answers=(says(JOB, 202),))
    assert result.exit_code == 0
    _, _, headers, body = seen[0]
    sent = json.loads(re.search(rb"\{.*\}", body)[0])  # type: ignore[index]  # it is there, or the test fails
    want = {"size": 128, "steps": 9, "style_weight": 5, "optimizer": {"kind": "adam", "beta1": 0.5}}
    assert sent == {"preset": "fast", **want}
    assert headers["Idempotency-Key"] == "k1"
    assert b"batch" in body


def test_a_recipe_file_is_told_from_a_preset_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "fast").write_text('{"steps": 3}')
    assert overlay("fast", None, None, []) == {"preset": "fast"}
    assert overlay(str(tmp_path / "fast"), None, 4, ["init=noise"]) == {"steps": 4, "init": "noise"}


@pytest.mark.parametrize("setting", ["nonsense", "=5"])
def test_a_setting_without_a_key_or_a_value_is_wrong_usage(images: list[str], setting: str) -> None:
    result, seen = easel("submit", *images, "--set", setting)
    assert (result.exit_code, seen) == (2, [])
    assert "KEY=VALUE" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--size", "512", "--set", "size.x=1"], "'size.x=1' reaches inside 'size', which is 512"),
        (["--set", "optimizer=adam", "--set", "optimizer.history=5"], "reaches inside 'optimizer', which is \"adam\""),
        (["--set", "a.b=null", "--set", "a.b.c.d=1"], "reaches inside 'b', which is null"),
        (["--recipe", "missing.json"], "missing.json cannot be read (No such file or directory)"),
        (["--recipe", "./"], "cannot be read (Is a directory): give the path of a JSON file, or a preset's name."),
    ],
)
def test_a_recipe_that_cannot_be_put_together_is_wrong_usage(images: list[str], options: list[str], said: str) -> None:
    result, seen = easel("submit", *images, *options)
    assert (result.exit_code, seen) == (2, [])
    assert said in re.sub(r"[\s│]+", " ", result.stderr)


def test_a_photo_that_is_not_there_is_wrong_usage(images: list[str]) -> None:
    result, seen = easel("submit", "/nowhere.jpg", images[1])
    assert (result.exit_code, seen) == (2, [])


QUOTE = {
    "seconds": 75.2,
    "peak_memory_bytes": 1_400_000_000,
    "peak_gpu_memory_bytes": 0,
    "memory_kind": "host",
    "width": 384,
    "height": 288,
}


def test_a_quote_is_one_sentence(images: list[str]) -> None:
    quote = {**QUOTE, "fits": True, "fitting_size": None}
    result, seen = easel("submit", *images, "--quote", answers=(says(quote),))
    assert (
        result.stdout == "About 1:15 of work and 1.3 GiB of memory on one worker, for a picture of 384 x 288 pixels.\n"
    )
    assert "dry_run=true" in seen[0][1]
    assert json.loads(easel("submit", *images, "--quote", "--json", answers=(says(quote),))[0].stdout) == quote


def test_a_quote_shows_gpu_memory_where_that_is_what_counts(images: list[str]) -> None:
    quote = {**QUOTE, "peak_gpu_memory_bytes": 2**31, "memory_kind": "gpu"}
    assert (
        "and 2.0 GiB of GPU memory on one worker"
        in easel("submit", *images, "--quote", answers=(says(quote),))[0].stdout
    )


@pytest.mark.parametrize(
    ("size", "said"), [(320, "No worker has so much. At size 320 it would fit.\n"), (None, "No worker has so much.\n")]
)
def test_a_quote_says_where_no_worker_has_the_memory(images: list[str], size: int | None, said: str) -> None:
    misfit = {**QUOTE, "fits": False, "fitting_size": size}
    assert easel("submit", *images, "--quote", answers=(says(misfit),))[0].stdout.endswith(said)


def test_waiting_with_an_output_writes_the_picture(images: list[str], tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    answers = (says(JOB, 202), ENDS, says(SUCCEEDED), says(b"PNG"))
    result, _ = easel("submit", *images, "-o", str(output), answers=answers)
    assert (result.exit_code, result.stdout) == (0, f"{JOB['id']}\n")
    assert output.read_bytes() == b"PNG"
    assert f"{JOB['id']} succeeded after 60 steps." in result.stderr


def test_a_job_that_failed_ends_the_wait_with_1_and_says_why(images: list[str], tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    answers = (says(JOB, 202), ENDS, says(FAILED))
    result, _ = easel("submit", *images, "-o", str(output), "--json", answers=answers)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "diverged"
    assert "Lower the weights. (diverged)" in result.stderr
    assert "Fetch its last good picture with" in result.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(422, "invalid_recipe"), 2),
        (problem(401, "unauthorized"), 2),
        (problem(409, "not_ready", retryable=True), 2),
        (problem(404, "job_not_found"), 3),
        (problem(429, "queue_full", retryable=True), 4),
        (problem(503, "ledger_unavailable", retryable=True), 4),
        (problem(500, "internal_error"), 4),
        (says(b"<html>"), 2),
    ],
)
def test_every_kind_of_refusal_has_its_exit_code(answer: Answer, code: int) -> None:
    result, _ = easel("status", "x", answers=(answer,))
    assert (result.exit_code, result.stdout) == (code, "")
    assert re.fullmatch(r"Error: .+\. \(\w+\)\n|Error: .+\? \(\w+\)\n", result.stderr)


def test_nobody_there_is_exit_code_4() -> None:
    result = CliRunner().invoke(app, ["--url", "http://127.0.0.1:9", "list"])
    assert result.exit_code == 4
    assert "is `make up` running" in result.stderr


def test_the_help_lists_every_exit_code() -> None:
    said = CliRunner().invoke(app, ["--help"]).stdout
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"\b{code}  {re.escape(meaning[:30])}", said)


def test_canceling_several_goes_on_after_a_refusal() -> None:
    answers = (problem(404, "job_not_found"), says(JOB), says({**JOB, "state": "canceled"}, 202))
    result, _ = easel("cancel", "x", "y", "--json", answers=answers)
    assert result.exit_code == 3
    assert [job["state"] for job in json.loads(result.stdout)] == ["canceled"]


def test_a_result_goes_where_it_is_told(tmp_path: Path) -> None:
    about = {"weights": {"source": "calibrated"}}
    output = tmp_path / "p.png"
    answers = (says(JOB), says(b"PNG"), says(about))
    result, _ = easel("result", "x", "-o", str(output), "--provenance", answers=answers)
    assert result.exit_code == 0
    assert output.read_bytes() == b"PNG"
    assert json.loads((tmp_path / "p.json").read_text()) == about
    assert easel("result", "x", "-o", "-", answers=(says(JOB), says(b"\x89PNG")))[0].stdout_bytes == b"\x89PNG"
    result, _ = easel("result", "x", "-o", str(tmp_path / "no" / "p.png"), answers=(says(JOB), says(b"PNG")))
    assert (result.exit_code, "cannot be written" in result.stderr) == (2, True)


def test_a_timelapse_goes_where_it_is_told(tmp_path: Path) -> None:
    output = tmp_path / "p.webp"
    result, seen = easel("timelapse", "x", "-o", str(output), answers=(says(JOB), says(b"RIFF")))
    assert (result.exit_code, output.read_bytes()) == (0, b"RIFF")
    assert seen[-1][1] == f"/v1/jobs/{JOB['id']}/timelapse"


def test_a_webhook_is_named_at_submission_and_its_deliveries_can_be_read(images: list[str]) -> None:
    options = ["--webhook-url", "https://x.example/hook", "--webhook-event", "job.failed"]
    _, seen = easel("submit", *images, *options, answers=(says(JOB, 202),))
    assert b"https://x.example/hook" in seen[0][3]
    assert b'["job.failed"]' in seen[0][3]
    told = {
        "id": "m1",
        "event": "job.failed",
        "attempt": 2,
        "at": "2026-11-22T14:00:02Z",
        "status": 503,
        "error": "slow",
    }
    answers = (says(JOB), says({"deliveries": [told]}))
    assert re.search(r"job\.failed +2 +\d\d:\d\d:\d\d +503 slow", easel("deliveries", "x", answers=answers)[0].stdout)
    assert json.loads(easel("deliveries", "x", "--json", answers=answers)[0].stdout)[0]["status"] == 503


def test_where_nothing_was_delivered_a_sentence_says_why() -> None:
    none, hook = says({"deliveries": []}), {"url": "https://x.example/hook", "events": ["job.failed"]}
    silent = easel("deliveries", "x", answers=(says(JOB), none))[0]
    early = easel("deliveries", "x", answers=(says({**JOB, "webhook": hook}), none))[0]
    assert (silent.stdout, silent.exit_code) == ("", 0)
    assert "no webhook" in silent.stderr
    assert "nothing yet" in early.stderr
    assert json.loads(easel("deliveries", "x", "--json", answers=(says(JOB), none))[0].stdout) == []
