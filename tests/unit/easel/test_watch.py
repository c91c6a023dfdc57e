"""Watching several jobs, on a terminal and while the service is unavailable for a while."""

import io
import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console
from support.scripted_server import (
    JOB,
    QUEUE,
    Responder,
    event_stream,
    format_events,
    problem,
    progress_event,
    reply,
    serve,
    state_event,
)

from easel import Easel, Job, NotFound, Queue
from easel.events import QUEUE_EVENTS
from easel.terminal.job_updates import iter_updates
from easel.terminal.tables import queue_tables
from easel.terminal.watch import watch, watch_events, watch_queue

SUCCEEDED: dict[str, Any] = {
    **JOB,
    "state": "succeeded",
    "progress": {"phase": "done", "current": 60, "total": 60, "percentage": 100},
    "losses": {"total": 6.5, "style": 3.0, "content": 2.5, "total_variation": 1.0},
}
EVENTS = format_events(progress_event("1-0"), state_event("2-0", "succeeded"))
UNAVAILABLE = problem(503, "ledger_unavailable", retryable=True)


pytestmark = pytest.mark.usefixtures("short_pauses")


def respond_by_path(statuses: dict[str, list[Responder]], stream: Responder) -> Responder:
    """Return a responder with each job's statuses in turn, of which the last one repeats, and one stream for all."""

    def respond(handler: Any) -> None:
        if handler.path.endswith("/events"):
            return stream(handler)
        responders = statuses[handler.path.rpartition("/")[2]]
        return (responders.pop(0) if len(responders) > 1 else responders[0])(handler)

    return respond


def test_each_job_has_a_bar_on_a_terminal() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    other = {**SUCCEEDED, "id": "b", "state": "canceled"}
    statuses = {"a": [reply({**JOB, "id": "a"}), reply({**SUCCEEDED, "id": "a"})], "b": [reply(other)]}
    with serve(respond_by_path(statuses, event_stream(EVENTS))) as server, Easel(server.url) as easel:
        jobs = [easel.get("a"), easel.get("b")]
        watch(jobs, screen)
    assert [job.state for job in jobs] == ["succeeded", "canceled"]
    output: str = screen.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as made above
    for part in ("succeeded", "canceled", "100%", "60/60", "loss 6.5"):
        assert part in output


@pytest.mark.parametrize("terminal", [True, False])
def test_a_jobs_warnings_are_printed_once(terminal: bool) -> None:  # noqa: FBT001 - both displays
    screen = Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)
    warning = ("1-1", "warning", {"code": "calibrated_weights", "detail": "Better weights exist."})
    events = format_events(progress_event("1-0"), warning, state_event("2-0", "succeeded"))
    statuses = {"a": [reply({**JOB, "id": "a"}), reply({**JOB, "id": "a"}), reply({**SUCCEEDED, "id": "a"})]}
    with serve(respond_by_path(statuses, event_stream(events))) as server, Easel(server.url) as easel:
        watch([easel.get("a")], screen)
    output: str = screen.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as made above
    assert output.count("Better weights exist.") == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_a_silent_worker_is_shown(terminal: bool) -> None:  # noqa: FBT001 - both displays
    screen = Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)
    since = datetime.now(UTC) - timedelta(seconds=12)
    times = {"since": since.isoformat(), "lease_expires_at": (since + timedelta(minutes=60)).isoformat()}
    events = format_events(progress_event("1-0"), ("", "worker_silent", times), state_event("2-0", "succeeded"))
    silent = {**JOB, "id": "a", "worker_silent_since": times["since"], "lease_expires_at": times["lease_expires_at"]}
    statuses = {"a": [reply({**JOB, "id": "a"}), reply(silent), reply({**SUCCEEDED, "id": "a"})]}
    with serve(respond_by_path(statuses, event_stream(events))) as server, Easel(server.url) as easel:
        watch([easel.get("a")], screen)
    output: str = screen.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as made above
    assert re.search(
        r"The worker has not answered for \d+ s; the job continues on another one in about \d+ s\.", output
    )
    assert "worker silent" in output


def test_watching_continues_after_the_service_was_unavailable() -> None:
    statuses = {"a": [reply({**JOB, "id": "a"}), *[UNAVAILABLE] * 7, reply({**SUCCEEDED, "id": "a"})]}
    with serve(respond_by_path(statuses, event_stream(EVENTS))) as server, Easel(server.url) as easel:
        states = [updates["a"].status.state for updates in iter_updates([easel.get("a")])]
    assert (states[0], states[-1]) == ("running", "succeeded")


@pytest.mark.parametrize("show", [lambda job: list(iter_updates([job])), lambda job: watch_events([job])])
def test_a_deleted_job_ends_the_watch(show: Callable[[Job], object]) -> None:
    statuses = {"a": [reply({**JOB, "id": "a"}), problem(404, "job_not_found")]}
    with serve(respond_by_path(statuses, event_stream(EVENTS))) as server, Easel(server.url) as easel:
        job = easel.get("a")
        with pytest.raises(NotFound, match="job_not_found"):
            show(job)


def test_events_of_one_job_cause_no_requests_about_waiting_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easel.terminal.job_updates._TICK", 3600.0)
    refreshed, ended = threading.Semaphore(0), threading.Event()

    def respond(handler: Any) -> None:
        match handler.path.split("/")[3:]:
            case ["busy"]:
                refreshed.release()
                reply({**(SUCCEEDED if ended.is_set() else JOB), "id": "busy"})(handler)
            case ["waits"]:
                reply({**(SUCCEEDED if ended.is_set() else {**JOB, "state": "queued"}), "id": "waits"})(handler)
            case ["busy", _]:
                event_stream("")(handler)
                for number in range(1, 6):  # each after the status was refreshed for the one before
                    refreshed.acquire()
                    handler.wfile.write(format_events(progress_event(f"{number}-0")).encode())
                refreshed.acquire()
                ended.set()
                handler.wfile.write(format_events(state_event("9-0", "succeeded")).encode())
            case ["waits", _]:
                ended.wait()
                event_stream(EVENTS)(handler)

    with serve(respond) as server, Easel(server.url) as easel:
        list(iter_updates([easel.get("busy"), easel.get("waits")]))
    paths = [request.path for request in server.requests]
    assert paths.count("/v1/jobs/busy") == 1 + 6
    assert paths.count("/v1/jobs/waits") <= 1 + 2, "the first status, and one for each of its two events"


def test_an_estimate_event_updates_the_position_without_a_request() -> None:
    updated = threading.Event()
    statuses = [{**JOB, "id": "a", "state": "queued", "queue_position": 3}, {**SUCCEEDED, "id": "a"}]
    estimate = ("", "estimate", {"queue_position": 2, "eta_seconds": {"p50": 60, "p90": 90}})

    def send_events(handler: Any) -> None:
        event_stream(format_events(estimate))(handler)
        updated.wait()
        handler.wfile.write(format_events(state_event("9-0", "succeeded")).encode())

    respond = respond_by_path({"a": [reply(status) for status in statuses]}, send_events)
    with serve(respond) as server, Easel(server.url) as easel:
        updates = iter_updates([easel.get("a")])
        assert next(updates)["a"].status.queue_position == 3
        assert next(update for update in updates if update["a"].status.queue_position == 2)["a"].remaining()
        assert [request.path for request in server.requests] == ["/v1/jobs/a", "/v1/jobs/a/events"]
        updated.set()
        assert [update["a"].status.ended for update in updates][-1]


def test_no_stream_is_opened_for_an_ended_job() -> None:
    with serve(reply(SUCCEEDED)) as server, Easel(server.url) as easel:
        assert [[update.status.ended for update in updates.values()] for updates in iter_updates([easel.get("a")])] == [
            [True]
        ]
        assert [request.path for request in server.requests] == ["/v1/jobs/a"]


def test_all_events_arrive_with_more_jobs_than_streams(capsys: pytest.CaptureFixture[str]) -> None:
    ids = [f"job-{number}" for number in range(20)]
    statuses = {job_id: [reply({**JOB, "id": job_id})] for job_id in ids}
    with serve(respond_by_path(statuses, event_stream(EVENTS))) as server, Easel(server.url) as easel:
        watch_events([easel.get(job_id) for job_id in ids])
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert sorted(line["job"] for line in lines) == sorted(ids * 2)


def test_the_queues_times_advance_between_changes() -> None:
    waiting = {"name": "standard", "depth": 1, "oldest_seconds": 5, "eta_seconds": {"p50": 60, "p90": 90}}
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    queue = {**QUEUE, "tiers": [waiting]}
    watch_queue(
        iter([QUEUE_EVENTS.validate_python({"kind": kind, "data": queue}) for kind in ("later", "queue")]), screen
    )
    output: str = screen.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as made above
    assert "about 1:00 (90% within 1:30)" in output
    with screen.capture() as captured:
        screen.print(queue_tables(Queue.model_validate(queue), elapsed=60))
    assert "1:05" in captured.get()
