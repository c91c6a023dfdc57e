"""Output of the `easel` command about jobs, recipes and the queue, as text and as JSON."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from support.command_line import FAILED, SUCCEEDED, SUCCEEDED_STREAM, run_easel
from support.scripted_server import JOB, QUEUE, event_stream, format_events, problem, reply, state_event

from easel import JobStatus, Queue
from easel.terminal.job_updates import JobUpdate
from easel.terminal.output import stdout
from easel.terminal.tables import format_age, format_duration, ordinal, queue_tables
from easel.terminal.watch import format_line

pytestmark = pytest.mark.usefixtures("short_pauses")


def test_json_keeps_fields_that_later_versions_add() -> None:
    result, _ = run_easel("status", "x", "--json")
    assert json.loads(result.stdout)["a_later_field"] == 1


def test_texts_of_the_service_are_not_interpreted_as_markup() -> None:
    job = {**FAILED, "error": {"code": "diverged", "detail": "Bad :bug: [red]."}, "recipe": {"preset": ":key:"}}
    assert json.loads(run_easel("status", "x", "--json", responders=(reply(job),))[0].stdout)["error"] == job["error"]
    assert "Bad :bug: [red]." in run_easel("status", "x", responders=(reply(job),))[0].stdout
    page = reply({"jobs": [job], "next_cursor": None})
    assert ":key:" in run_easel("list", responders=(page,))[0].stdout
    error = reply({"code": "x", "detail": "Bad :bug: [red]."}, 422)
    assert run_easel("status", "x", responders=(error,))[0].stderr == "Error: Bad :bug: [red]. (x)\n"


def test_status_shows_the_properties_of_a_job() -> None:
    output = run_easel("status", "x", responders=(reply(FAILED),))[0].stdout
    for part in ("failed", "Lower the weights. (diverged)", "fast 256 px", "6 = style 3 + content 2 + variation 1"):
        assert part in output


@pytest.mark.parametrize(("p90", "text"), [(197, "about 2:20 (90% within 3:17)"), (140, "about 2:20")])
def test_the_time_left_names_its_bound_unless_it_is_the_same(p90: int, text: str) -> None:
    job = {**JOB, "eta_seconds": {"p50": 140, "p90": p90}}
    lines = run_easel("status", "x", responders=(reply(job),))[0].stdout.splitlines()
    assert [line.split(maxsplit=2)[2].strip() for line in lines if line.startswith("time left")] == [text]


@pytest.mark.parametrize(
    ("state", "text", "done"), [("succeeded", "succeeded early", "3 steps"), ("canceled", "canceled", "2 %")]
)
def test_status_and_list_mark_a_result_of_an_early_finish(state: str, text: str, done: str) -> None:
    job = {**JOB, "state": state, "stopped_early": True}
    assert re.search(rf"state +{text} +\n", run_easel("status", "x", responders=(reply(job),))[0].stdout)
    page = reply({"jobs": [job], "next_cursor": None})
    assert re.search(rf"{JOB['id']}  {text} +{done}", run_easel("list", responders=(page,))[0].stdout)


def test_a_list_stops_at_its_limit() -> None:
    page = reply({"jobs": [JOB, SUCCEEDED], "next_cursor": "more"})
    result, requests = run_easel("list", "--state", "running", "--limit", "3", "--json", responders=(page,))
    assert len(json.loads(result.stdout)) == 3
    assert [request.path for request in requests] == [
        "/v1/jobs?limit=3&state=running",
        "/v1/jobs?limit=3&state=running&cursor=more",
    ]
    assert JOB["id"] in run_easel("list", responders=(page,))[0].stdout
    assert run_easel("list", responders=(reply({"jobs": [], "next_cursor": None}),))[0].stderr == "No jobs.\n"


def test_recipes_show_the_featured_fields_of_each_preset() -> None:
    presets = {"default": {"size": 512, "optimizer": {"kind": "lbfgs"}}, "fast": {"size": 256}}
    schema = {"properties": {"size": {}, "optimizer": {}, "init": {}}}
    catalog = reply({"presets": presets, "schema": schema, "featured": ["size", "optimizer"]})
    output = run_easel("recipes", responders=(catalog,))[0].stdout
    for part in ("default", "fast", "lbfgs", "256", "More, with --set KEY=VALUE: init."):
        assert part in output
    assert json.loads(run_easel("recipes", "--json", responders=(catalog,))[0].stdout)["schema"] == schema


def test_watching_the_queue_as_json_prints_one_line_per_change() -> None:
    changes = event_stream(
        format_events(*(("", "queue", {**QUEUE, "completed_last_hour": number}) for number in (1, 2)))
    )
    result, _ = run_easel("queue", "--watch", "--json", responders=(changes, problem(404, "not_found")))
    assert [json.loads(text)["completed_last_hour"] for text in result.stdout.splitlines()] == [1, 2]
    assert result.exit_code == 3


def test_watching_as_json_prints_events_as_they_were_sent() -> None:
    event = {"state": "queued", "at": "2026-11-22T14:00:02.120Z", "a_later_field": {"x": 1}}
    events = [("1-0", "state", event), ("2-0", "paused", {"why": "lunch"}), state_event("3-0", "succeeded")]
    stream = event_stream(format_events(*events))
    result, _ = run_easel("watch", "x", "--json", responders=(reply(JOB), stream, reply(SUCCEEDED)))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        json.dumps({"job": JOB["id"], "id": event_id, "kind": kind, "data": data}) for event_id, kind, data in events
    ]


def test_watching_without_a_terminal_prints_lines() -> None:
    responders = (reply(JOB), SUCCEEDED_STREAM, reply(SUCCEEDED))
    result, _ = run_easel("watch", JOB["id"], JOB["id"], responders=responders)
    assert result.exit_code == 0
    first, last = result.stdout.splitlines()
    assert first == f"{JOB['id']}  128 px, 2 %, step 3/60"
    assert last == f"{JOB['id']}  succeeded, 100 %, step 60/60, loss 6, 0.86 steps/s, 1:10 elapsed"


def test_a_waiting_job_shows_its_position_in_the_queue() -> None:
    waiting = {**JOB, "state": "queued", "queue_position": 2, "eta_seconds": {"p50": 3700, "p90": 9000}}
    waiting["progress"] = {"total": 60}
    assert format_line(JobUpdate(JobStatus.model_validate(waiting))).endswith("2nd in the queue, 0 %, 1:01:40 left")


def test_a_job_whose_images_are_fetched_says_so() -> None:
    waiting = {**JOB, "state": "queued", "waiting_for": "inputs", "progress": {"total": 60}}
    assert format_line(JobUpdate(JobStatus.model_validate(waiting))).endswith("fetching the images, 0 %")
    output = run_easel("status", JOB["id"], responders=(reply(waiting),))[0].stdout
    assert re.search("state +queued, fetching the images", output)


def test_the_queue_shows_tiers_jobs_and_workers() -> None:
    device = {"device": "cpu:2", "memory_bytes": 16 * 2**30, "weights": "calibrated:01"}
    worker = {"name": "one@here", **device, "tiers": [], "job": JOB["id"]}
    queue = {
        "tiers": [{"name": "standard", "depth": 2, "oldest_seconds": 65}],
        "running": [JOB],
        "workers": [worker, {**worker, "name": "two@here", "memory_bytes": 80 * 2**30, "memory_kind": "gpu"}],
        "completed_last_hour": 1,
    }
    output = run_easel("queue", responders=(reply(queue),))[0].stdout
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
        assert part in output
    assert json.loads(run_easel("queue", "--json", responders=(reply(queue),))[0].stdout)["workers"][0]["tiers"] == []
    with stdout.capture() as captured:
        stdout.print(queue_tables(Queue.model_validate({**queue, "workers": [], "running": []})))
    assert "No worker is alive" in captured.get()


def test_durations_ordinals_and_ages_are_formatted_for_people() -> None:
    assert [format_duration(seconds) for seconds in (0, 7.4, 754, 3723)] == ["0:00", "0:07", "12:34", "1:02:03"]
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"
    ]  # fmt: skip
    assert [format_age(datetime.now(UTC) - timedelta(seconds=s)) for s in (3, 200, 7300, 200_000)] == [
        "3 s", "3 min", "2 h", "2 d"
    ]  # fmt: skip
