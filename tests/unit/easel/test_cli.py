"""The options, files and exit codes of the `easel` command, against a scripted server."""

import json
import re
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from support.command_line import FAILED, SUCCEEDED, SUCCEEDED_STREAM, run_easel
from support.scripted_server import JOB, Responder, problem, reply
from typer.main import get_command
from typer.testing import CliRunner

from easel import __version__
from easel.cli import app
from easel.terminal.command import EXIT_CODES, build_recipe
from shared.jobs.job import WEBHOOK_EVENTS
from shared.settings import Settings

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "photo.jpg", tmp_path / "painting.jpg"]
    for path in paths:
        path.write_bytes(path.name.encode())
    return [str(path) for path in paths]


def test_submit_prints_only_the_id_to_standard_output(images: list[str]) -> None:
    result, _ = run_easel("submit", *images, responders=(reply(JOB, 202),))
    assert result.exit_code == 0
    assert result.stdout == f"{JOB['id']}\n"
    assert f"easel watch {JOB['id']}" in result.stderr


def test_options_override_the_recipe(images: list[str]) -> None:
    settings = ["--set", "style_weight=5", "--set", "optimizer.kind=adam", "--set", "optimizer.beta1=0.5"]
    options = ["--recipe", "fast", "--size", "128", "--steps", "9", "--tier", "batch", "--idempotency-key", "k1"]
    result, requests = run_easel("submit", *images, *options, *settings, responders=(reply(JOB, 202),))
    assert result.exit_code == 0
    _, _, headers, body = requests[0]
    sent = json.loads(re.search(rb"\{.*\}", body)[0])  # type: ignore[index]  # it is there, or the test fails
    expected = {"size": 128, "steps": 9, "style_weight": 5, "optimizer": {"kind": "adam", "beta1": 0.5}}
    assert sent == {"preset": "fast", **expected}
    assert headers["Idempotency-Key"] == "k1"
    assert b"batch" in body


def test_metadata_is_sent_as_a_json_object(images: list[str]) -> None:
    pairs = ["--metadata", "order=6735", "--metadata", "note=a=b"]
    _, requests = run_easel("submit", *images, *pairs, responders=(reply(JOB, 202),))
    assert b'{"order": "6735", "note": "a=b"}' in requests[0].body
    result, requests = run_easel("submit", *images, "--metadata", "order", responders=(reply(JOB, 202),))
    assert (result.exit_code, requests) == (2, [])
    assert "'order' is not KEY=VALUE" in result.stderr


def test_list_sends_its_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()
    page = reply({"jobs": [JOB], "next_cursor": None})
    options = ["--preset", "fast", "--metadata", "order=6735", "--created-after", "2026-11-28"]
    result, requests = run_easel("list", *options, "--created-before", "2026-11-28T12:00:00Z", responders=(page,))
    assert result.exit_code == 0, result.output
    query = parse_qs(urlsplit(requests[0].path).query)
    assert query == {
        "limit": ["20"],
        "preset": ["fast"],
        "metadata[order]": ["6735"],
        "created_after": ["2026-11-27T22:00:00+00:00"],
        "created_before": ["2026-11-28T12:00:00+00:00"],
    }
    monkeypatch.undo()
    time.tzset()


def test_the_status_shows_metadata_and_escapes_what_would_act_on_the_terminal() -> None:
    job = {**JOB, "metadata": {"order": "6735", "note": "\x1b[2J"}}
    output = run_easel("status", "x", responders=(reply(job),))[0].stdout
    assert "order=6735" in output
    assert "\\x1b[2J" in output
    assert "\x1b[2J" not in output


def test_an_ending_that_is_no_format_is_refused_before_any_request(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["result", JOB["id"], "-o", str(tmp_path / "x.gif")])
    assert outcome.exit_code == 2
    assert ".tiff" in outcome.output
    assert not (tmp_path / "x.gif").exists()


def test_a_recipe_with_a_slash_or_json_suffix_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "fast").write_text('{"steps": 3}')
    assert build_recipe("fast", []) == {"preset": "fast"}
    assert build_recipe(str(tmp_path / "fast"), ["init=noise"], size=None, steps=4) == {"steps": 4, "init": "noise"}


@pytest.mark.parametrize("setting", ["nonsense", "=5"])
def test_a_setting_without_a_key_or_an_equals_sign_is_wrong_usage(images: list[str], setting: str) -> None:
    result, requests = run_easel("submit", *images, "--set", setting)
    assert (result.exit_code, requests) == (2, [])
    assert "KEY=VALUE" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "512", "--set", "size.x=1"], "'size.x=1' sets a field of 'size', which is 512"),
        (["--set", "optimizer=adam", "--set", "optimizer.history=5"], "sets a field of 'optimizer', which is \"adam\""),
        (["--set", "a.b=null", "--set", "a.b.c.d=1"], "sets a field of 'b', which is null"),
        (["--recipe", "missing.json"], "missing.json cannot be read (No such file or directory)"),
        (["--recipe", "./"], "cannot be read (Is a directory): give the path of a JSON file, or a preset's name."),
    ],
)
def test_contradictory_settings_and_unreadable_recipes_are_wrong_usage(
    images: list[str], options: list[str], message: str
) -> None:
    result, requests = run_easel("submit", *images, *options)
    assert (result.exit_code, requests) == (2, [])
    assert message in re.sub(r"[\s│]+", " ", result.stderr)


def test_a_missing_photo_is_wrong_usage(images: list[str]) -> None:
    result, requests = run_easel("submit", "/nowhere.jpg", images[1])
    assert (result.exit_code, requests) == (2, [])


QUOTE = {
    "seconds": 75.2,
    "peak_memory_bytes": 1_400_000_000,
    "peak_gpu_memory_bytes": 0,
    "memory_kind": "host",
    "width": 384,
    "height": 288,
}


def test_a_quote_is_printed_as_a_sentence_or_json(images: list[str]) -> None:
    quote = {**QUOTE, "fits": True, "fitting_size": None}
    result, requests = run_easel("submit", *images, "--quote", responders=(reply(quote),))
    assert result.stdout == "About 1:15 and 1.3 GiB of memory on one worker, for an image of 384 x 288 pixels.\n"
    assert "dry_run=true" in requests[0][1]
    printed = json.loads(run_easel("submit", *images, "--quote", "--json", responders=(reply(quote),))[0].stdout)
    assert printed == {**printed, **quote}


def test_a_quote_shows_gpu_memory_if_that_is_the_limit(images: list[str]) -> None:
    quote = {**QUOTE, "peak_gpu_memory_bytes": 2**31, "memory_kind": "gpu"}
    assert (
        "and 2.0 GiB of GPU memory on one worker"
        in run_easel("submit", *images, "--quote", responders=(reply(quote),))[0].stdout
    )


@pytest.mark.parametrize(
    ("size", "message"),
    [(320, "No worker has that much memory. At size 320 it would fit.\n"), (None, "No worker has that much memory.\n")],
)
def test_a_quote_warns_if_no_worker_has_enough_memory(images: list[str], size: int | None, message: str) -> None:
    quote = {**QUOTE, "fits": False, "fitting_size": size}
    assert run_easel("submit", *images, "--quote", responders=(reply(quote),))[0].stdout.endswith(message)


def test_submit_with_an_output_waits_and_writes_the_result(images: list[str], tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    responders = (reply(JOB, 202), SUCCEEDED_STREAM, reply(SUCCEEDED), reply(b"PNG"))
    result, _ = run_easel("submit", *images, "-o", str(output), responders=responders)
    assert (result.exit_code, result.stdout) == (0, f"{JOB['id']}\n")
    assert output.read_bytes() == b"PNG"
    assert f"{JOB['id']} succeeded after 60 steps." in result.stderr


def test_the_result_is_all_that_submit_writes_to_standard_output(images: list[str]) -> None:
    responders = (reply(JOB, 202), SUCCEEDED_STREAM, reply(SUCCEEDED), reply(b"\x89PNG"))
    result, _ = run_easel("submit", *images, "-o", "-", responders=responders)
    assert (result.exit_code, result.stdout_bytes) == (0, b"\x89PNG")
    assert result.stderr.startswith(f"{JOB['id']}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "PHOTO", "STYLE", "-o", "-", "--json"],
        ["submit", "PHOTO", "STYLE", "-o", "missing/out.png"],
        ["result", "x", "-o", "-", "--json"],
        ["result", "x", "-o", "-", "--provenance"],
        ["result", "x", "-o", "missing/out.png"],
    ],
)
def test_an_output_that_cannot_work_is_wrong_usage_before_any_request(images: list[str], arguments: list[str]) -> None:
    paths = {"PHOTO": images[0], "STYLE": images[1]}
    result, requests = run_easel(*(paths.get(argument, argument) for argument in arguments))
    assert (result.exit_code, requests) == (2, [])
    assert "--output" in result.stderr


def test_a_failed_job_exits_with_1_and_the_reason(images: list[str], tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    responders = (reply(JOB, 202), SUCCEEDED_STREAM, reply(FAILED))
    result, _ = run_easel("submit", *images, "-o", str(output), "--json", responders=responders)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "diverged"
    assert "Lower the weights. (diverged)" in result.stderr
    assert "Fetch the last good image with" in result.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    ("responder", "code"),
    [
        (problem(422, "invalid_recipe"), 2),
        (problem(409, "not_ready", retryable=True), 2),
        (problem(404, "job_not_found"), 3),
        (problem(429, "queue_full", retryable=True), 4),
        (problem(503, "ledger_unavailable", retryable=True), 4),
        (problem(500, "internal_error"), 4),
        (reply(b"<html>"), 2),
    ],
)
def test_every_kind_of_error_has_an_exit_code(responder: Responder, code: int) -> None:
    result, _ = run_easel("status", "x", responders=(responder,))
    assert (result.exit_code, result.stdout) == (code, "")
    assert re.fullmatch(r"Error: .+\. \(\w+\)\n|Error: .+\? \(\w+\)\n", result.stderr)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        (None, "Set EASEL_API_KEY, or pass a key before the command's name: easel --api-key KEY ..."),
        ("wrong", "Check the key in EASEL_API_KEY or after --api-key."),
    ],
)
@pytest.mark.parametrize("command", [["status", "x"], ["cancel", "x", "y"]])
def test_an_unauthorized_request_says_how_to_give_a_key(command: list[str], key: str | None, hint: str) -> None:
    options = ["--api-key", key] if key else []
    result, requests = run_easel(*options, *command, responders=(problem(401, "unauthorized"),))
    assert (result.exit_code, result.stderr) == (2, f"Error: Do so. (unauthorized)\n{hint}\n")
    assert len(requests) == 1


def test_an_unreachable_service_is_exit_code_4() -> None:
    result = CliRunner().invoke(app, ["--url", "http://127.0.0.1:9", "list"])
    assert result.exit_code == 4
    assert "is `make up` running" in result.stderr


def test_the_help_lists_every_exit_code() -> None:
    output = CliRunner().invoke(app, ["--help"]).stdout
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"\b{code}  {re.escape(meaning[:30])}", output)


def test_the_help_of_submit_names_the_tiers_and_the_webhook_events() -> None:
    options = {option.name: option.help for option in get_command(app).commands["submit"].params}  # type: ignore[attr-defined]
    tiers, events = Settings.model_fields["tiers"].default, options["webhook_events"]
    assert all(tier in options["tier"] for tier in tiers)
    assert all(event in events for event in WEBHOOK_EVENTS)


def test_usage_shows_which_arguments_can_be_repeated() -> None:
    output = CliRunner().invoke(app, ["submit", "--help"]).stdout
    assert re.search(r"submit \[OPTIONS\] \{?CONTENT\}? \{?STYLE\}?\.\.\.\s", output)


def test_the_version_is_printed_without_a_command() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"easel {__version__}\n")


def test_cancel_continues_with_the_next_job_after_an_error() -> None:
    responders = (problem(404, "job_not_found"), reply(JOB), reply({**JOB, "state": "canceled"}, 202))
    result, _ = run_easel("cancel", "x", "y", "--json", responders=responders)
    assert result.exit_code == 3
    assert [job["state"] for job in json.loads(result.stdout)] == ["canceled"]


def test_a_result_is_written_to_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    provenance = {"weights": {"source": "calibrated"}}
    output = tmp_path / "p.png"
    responders = (reply(JOB), reply(b"PNG"), reply(provenance))
    result, _ = run_easel("result", "x", "-o", str(output), "--provenance", responders=responders)
    assert result.exit_code == 0
    assert output.read_bytes() == b"PNG"
    assert json.loads((tmp_path / "p.json").read_text()) == provenance
    assert run_easel("result", "x", "-o", "-", responders=(reply(JOB), reply(b"\x89PNG")))[0].stdout_bytes == b"\x89PNG"
    result, _ = run_easel("result", "x", "-o", ".", responders=(reply(JOB), reply(b"PNG")))
    assert (result.exit_code, "is a folder" in result.stderr) == (2, True)


def test_a_timelapse_is_written_to_the_output(tmp_path: Path) -> None:
    output = tmp_path / "p.webp"
    result, requests = run_easel("timelapse", "x", "-o", str(output), responders=(reply(JOB), reply(b"RIFF")))
    assert (result.exit_code, output.read_bytes()) == (0, b"RIFF")
    assert requests[-1][1] == f"/v1/jobs/{JOB['id']}/timelapse"


def test_a_share_link_is_all_that_is_printed() -> None:
    link = {"url": "/v1/shared/x/result.webp?signature=y", "preview_url": None, "expires_at": "2026-01-01T00:00:00Z"}
    arguments = ("share", "x", "--format", "webp", "--expires-in", "60")
    result, requests = run_easel(*arguments, responders=(reply(JOB), reply(link)))
    assert result.exit_code == 0
    assert result.stdout.endswith("/v1/shared/x/result.webp?signature=y\n")
    assert result.stdout.startswith("http")
    assert requests[-1][:2] == ("POST", f"/v1/jobs/{JOB['id']}/share")


def test_a_webhook_is_submitted_and_its_deliveries_are_listed(images: list[str]) -> None:
    options = ["--webhook-url", "https://x.example/hook", "--webhook-event", "job.failed"]
    _, requests = run_easel("submit", *images, *options, responders=(reply(JOB, 202),))
    assert b"https://x.example/hook" in requests[0][3]
    assert b'["job.failed"]' in requests[0][3]
    attempt = {
        "id": "m1",
        "event": "job.failed",
        "attempt": 2,
        "at": "2026-11-22T14:00:02Z",
        "status": 503,
        "error": "slow",
    }
    responders = (reply(JOB), reply({"deliveries": [attempt]}))
    assert re.search(
        r"job\.failed +2 +2026-11-2\d \d\d:\d\d:\d\d +503 slow",
        run_easel("deliveries", "x", responders=responders)[0].stdout,
    )
    assert json.loads(run_easel("deliveries", "x", "--json", responders=responders)[0].stdout)[0]["status"] == 503


def test_a_message_explains_an_empty_list_of_deliveries() -> None:
    none, webhook = reply({"deliveries": []}), {"url": "https://x.example/hook", "events": ["job.failed"]}
    without_webhook = run_easel("deliveries", "x", responders=(reply(JOB), none))[0]
    with_webhook = run_easel("deliveries", "x", responders=(reply({**JOB, "webhook": webhook}), none))[0]
    assert (without_webhook.stdout, without_webhook.exit_code) == ("", 0)
    assert "has no webhook" in without_webhook.stderr
    assert "No webhook was sent yet" in with_webhook.stderr
    assert json.loads(run_easel("deliveries", "x", "--json", responders=(reply(JOB), none))[0].stdout) == []


def test_file_names_that_are_not_utf_8_are_read_and_written(tmp_path: Path) -> None:
    photo, output = tmp_path / "caf\udce9.jpg", tmp_path / "r\udce9sultat.png"
    photo.write_bytes(b"a photo")
    responders = (reply(JOB, 202), SUCCEEDED_STREAM, reply(SUCCEEDED), reply(b"PNG"))
    result, requests = run_easel("submit", str(photo), str(photo), "-o", str(output), responders=responders)
    assert (result.exit_code, output.read_bytes()) == (0, b"PNG"), result.output
    assert requests[0].body.count(b"a photo") == 2
