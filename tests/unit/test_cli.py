"""The `easel` command's options, output and exit codes, against a server of a few lines."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tiny_server import JOB, QUEUE, Answer, problem, says, serving, sse, streams
from typer.testing import CliRunner, Result

from api.cli import app
from api.client import JobView, Queue
from api.terminal.shell import EXIT_CODES, overlay
from api.terminal.showing import ago, clock, ordinal, out, queue_sheet
from api.terminal.watching import View, line

SUCCEEDED: dict[str, Any] = {
    **JOB,
    "state": "succeeded",
    "started_at": "2026-11-22T14:00:02Z",
    "completed_at": "2026-11-22T14:01:12Z",
    "progress": {"phase": "done", "current": 60, "total": 60, "percentage": 100},
    "losses": {"total": 6.0, "style": 3.0, "content": 2.0, "total_variation": 1.0},
    "metrics": {"queue_seconds": 2, "run_seconds": 70, "steps_per_second": 0.86},
    "urls": {"self": "/v1/jobs/x", "result": "/v1/jobs/x/result", "preview": None},
}
FAILED = {**SUCCEEDED, "state": "failed", "error": {"code": "diverged", "detail": "Lower the weights."}}
ENDS = streams(sse(("1-0", "state", {"state": "succeeded"})))


pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "photo.jpg", tmp_path / "painting.jpg"]
    for path in paths:
        path.write_bytes(path.name.encode())
    return [str(path) for path in paths]


def easel(*arguments: str, answers: tuple[Answer, ...] = ()) -> tuple[Result, list[tuple[str, str, Any, bytes]]]:
    with serving(*answers or (says(JOB),)) as server:
        return CliRunner().invoke(app, ["--url", server.url, *arguments]), server.seen


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


def test_a_photo_that_is_not_there_is_wrong_usage(images: list[str]) -> None:
    result, seen = easel("submit", "/nowhere.jpg", images[1])
    assert (result.exit_code, seen) == (2, [])


QUOTE = {"seconds": 75.2, "peak_memory_bytes": 1_400_000_000, "width": 384, "height": 288}


def test_a_quote_is_one_sentence(images: list[str]) -> None:
    quote = {**QUOTE, "fits": True, "fitting_size": None}
    result, seen = easel("submit", *images, "--quote", answers=(says(quote),))
    assert (
        result.stdout == "About 1:15 of work and 1.3 GiB of memory on one worker, for a picture of 384 x 288 pixels.\n"
    )
    assert "dry_run=true" in seen[0][1]
    assert json.loads(easel("submit", *images, "--quote", "--json", answers=(says(quote),))[0].stdout) == quote


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


def test_json_keeps_fields_that_this_client_does_not_know() -> None:
    result, _ = easel("status", "x", "--json")
    assert json.loads(result.stdout)["a_field_of_next_year"] == 1


def test_status_says_all_about_a_job() -> None:
    said = easel("status", "x", answers=(says(FAILED),))[0].stdout
    for part in ("failed", "Lower the weights. (diverged)", "fast 256 px", "6 = style 3 + content 2 + variation 1"):
        assert part in said


def test_a_list_stops_at_its_limit() -> None:
    page = says({"jobs": [JOB, SUCCEEDED], "next_cursor": "more"})
    result, seen = easel("list", "--state", "running", "--limit", "3", "--json", answers=(page,))
    assert len(json.loads(result.stdout)) == 3
    assert [path for _, path, _, _ in seen] == [
        "/v1/jobs?limit=3&state=running",
        "/v1/jobs?limit=3&state=running&cursor=more",
    ]
    assert JOB["id"] in easel("list", answers=(page,))[0].stdout
    assert easel("list", answers=(says({"jobs": [], "next_cursor": None}),))[0].stderr == "No jobs.\n"


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


def test_recipes_are_told_by_the_knobs_that_matter() -> None:
    presets = {"default": {"size": 512, "optimizer": {"kind": "lbfgs"}}, "fast": {"size": 256}}
    schema = {"properties": {"size": {}, "optimizer": {}, "init": {}}}
    answer = says({"presets": presets, "schema": schema, "knobs": ["size", "optimizer"]})
    said = easel("recipes", answers=(answer,))[0].stdout
    for part in ("default", "fast", "lbfgs", "256", "Also, by --set KEY=VALUE: init."):
        assert part in said
    assert json.loads(easel("recipes", "--json", answers=(answer,))[0].stdout)["schema"] == schema


def test_watching_the_queue_in_json_prints_each_change_on_a_line() -> None:
    changes = streams(sse(*(("", "queue", {**QUEUE, "completed_last_hour": number}) for number in (1, 2))))
    result, _ = easel("queue", "--watch", "--json", answers=(changes, problem(404, "not_found")))
    assert [json.loads(text)["completed_last_hour"] for text in result.stdout.splitlines()] == [1, 2]
    assert result.exit_code == 3


def test_watching_in_json_prints_an_event_a_line() -> None:
    story = streams(sse(("1-0", "state", {"state": "queued"}), ("2-0", "state", {"state": "succeeded"})))
    result, _ = easel("watch", "x", "--json", answers=(says(JOB), story, says(SUCCEEDED)))
    assert result.exit_code == 0
    assert [json.loads(text)["id"] for text in result.stdout.splitlines()] == ["1-0", "2-0"]


def test_watching_away_from_a_terminal_prints_lines() -> None:
    answers = (says(JOB), ENDS, says(SUCCEEDED))
    result, _ = easel("watch", JOB["id"], JOB["id"], answers=answers)
    assert result.exit_code == 0
    first, last = result.stdout.splitlines()
    assert first == f"{JOB['id']}  128 px, 2 %, step 3/60"
    assert last == f"{JOB['id']}  succeeded, 100 %, step 60/60, loss 6, 0.86 steps/s, 1:10 elapsed"


def test_a_waiting_job_is_told_by_its_place_in_line() -> None:
    waiting = {**JOB, "state": "queued", "queue_position": 2, "eta_seconds": {"p50": 3700, "p90": 9000}}
    waiting["progress"] = {"total": 60}
    assert line(View(JobView.model_validate(waiting))).endswith("2nd in line, 0 %, 1:01:40 left")


def test_the_queue_names_lines_jobs_and_workers() -> None:
    told = {"name": "one@here", "device": "cpu:2", "memory_bytes": 16 * 2**30, "weights": "calibrated:01"}
    worker = {**told, "tiers": [], "job": JOB["id"]}
    queue = {
        "tiers": [{"name": "standard", "depth": 2, "oldest_seconds": 65}],
        "running": [JOB],
        "workers": [worker],
        "completed_last_hour": 1,
    }
    said = easel("queue", answers=(says(queue),))[0].stdout
    for part in ("standard", "1:05", JOB["id"], "one@here", "cpu:2", "16.0 GiB", "1 job ended in the last hour."):
        assert part in said
    assert json.loads(easel("queue", "--json", answers=(says(queue),))[0].stdout)["workers"][0]["tiers"] == []
    with out.capture() as captured:
        out.print(queue_sheet(Queue.model_validate({**queue, "workers": [], "running": []})))
    assert "No worker is alive" in captured.get()


def test_numbers_are_written_for_people() -> None:
    assert [clock(seconds) for seconds in (0, 7.4, 754, 3723)] == ["0:00", "0:07", "12:34", "1:02:03"]
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"
    ]  # fmt: skip
    assert [ago(datetime.now(UTC) - timedelta(seconds=s)) for s in (3, 200, 7300, 200_000)] == [
        "3 s", "3 min", "2 h", "2 d"
    ]  # fmt: skip
