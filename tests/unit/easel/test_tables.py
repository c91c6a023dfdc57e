"""What the `easel` command shows of jobs, lists, recipes and the queue, for people and in JSON."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from support.command_line import ENDS, FAILED, SUCCEEDED, easel
from support.scripted_server import JOB, QUEUE, problem, says, sse, streams

from easel import JobView, Queue
from easel.terminal.tables import ago, clock, ordinal, out, queue_sheet
from easel.terminal.watch import View, line

pytestmark = pytest.mark.usefixtures("short_pauses")


def test_json_keeps_fields_that_this_client_does_not_know() -> None:
    result, _ = easel("status", "x", "--json")
    assert json.loads(result.stdout)["a_field_of_next_year"] == 1


def test_what_the_service_says_is_shown_letter_by_letter() -> None:
    told = {**FAILED, "error": {"code": "diverged", "detail": "Bad :bug: [red]."}, "recipe": {"preset": ":key:"}}
    assert json.loads(easel("status", "x", "--json", answers=(says(told),))[0].stdout)["error"] == told["error"]
    assert "Bad :bug: [red]." in easel("status", "x", answers=(says(told),))[0].stdout
    page = says({"jobs": [told], "next_cursor": None})
    assert ":key:" in easel("list", answers=(page,))[0].stdout
    refusal = says({"code": "x", "detail": "Bad :bug: [red]."}, 422)
    assert easel("status", "x", answers=(refusal,))[0].stderr == "Error: Bad :bug: [red]. (x)\n"


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
        "workers": [worker, {**worker, "name": "two@here", "memory_bytes": 80 * 2**30, "memory_kind": "gpu"}],
        "completed_last_hour": 1,
    }
    said = easel("queue", answers=(says(queue),))[0].stdout
    for part in (
        "standard",
        "1:05",
        JOB["id"],
        "one@here",
        "cpu:2",
        "16.0 GiB",
        "80.0 GiB (GPU)",
        "1 job ended in the last hour.",
    ):
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
