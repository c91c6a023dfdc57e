"""Watching several jobs at once, on a terminal and while the service comes and goes."""

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from support.scripted_server import JOB, QUEUE, Answer, problem, says, serving, sse, streams

from easel import Easel, Job, NotFound, Queue
from easel.terminal.tables import queue_sheet
from easel.terminal.watch import follow, watch, watch_events, watch_queue

DONE: dict[str, Any] = {
    **JOB,
    "state": "succeeded",
    "progress": {"phase": "done", "current": 60, "total": 60, "percentage": 100},
    "losses": {"total": 6.5, "style": 3.0, "content": 2.5, "total_variation": 1.0},
}
STORY = sse(("1-0", "progress", {}), ("2-0", "state", {"state": "succeeded"}))
AWAY = problem(503, "ledger_unavailable", retryable=True)


pytestmark = pytest.mark.usefixtures("short_pauses")


def by_path(records: dict[str, list[Answer]], story: Answer) -> Answer:
    """Each job's records in turn, the last one for ever; the story on every stream."""

    def answer(handler: Any) -> None:
        if handler.path.endswith("/events"):
            return story(handler)
        left = records[handler.path.rpartition("/")[2]]
        return (left.pop(0) if len(left) > 1 else left[0])(handler)

    return answer


def test_on_a_terminal_each_job_has_a_bar() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    other = {**DONE, "id": "b", "state": "canceled"}
    records = {"a": [says({**JOB, "id": "a"}), says({**DONE, "id": "a"})], "b": [says(other)]}
    with serving(by_path(records, streams(STORY))) as server, Easel(server.url) as easel:
        jobs = [easel.get("a"), easel.get("b")]
        watch(jobs, screen)
    assert [job.state for job in jobs] == ["succeeded", "canceled"]
    drawn: str = screen.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as made above
    for part in ("succeeded", "canceled", "100%", "60/60", "loss 6.5"):
        assert part in drawn


def test_a_service_that_goes_away_for_a_while_is_waited_for() -> None:
    away = [AWAY] * 7
    records = {"a": [says({**JOB, "id": "a"}), *away, says({**DONE, "id": "a"})]}
    with serving(by_path(records, streams(STORY))) as server, Easel(server.url) as easel:
        states = [views["a"].job.state for views in follow([easel.get("a")])]
    assert (states[0], states[-1]) == ("running", "succeeded")


@pytest.mark.parametrize("show", [lambda job: list(follow([job])), lambda job: watch_events([job])])
def test_a_job_that_is_deleted_meanwhile_ends_the_watch(show: Callable[[Job], object]) -> None:
    records = {"a": [says({**JOB, "id": "a"}), problem(404, "job_not_found")]}
    with serving(by_path(records, streams(STORY))) as server, Easel(server.url) as easel:
        job = easel.get("a")
        with pytest.raises(NotFound, match="job_not_found"):
            show(job)


def test_events_of_one_job_lead_to_no_questions_about_those_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easel.terminal.watch._TICK", 3600.0)
    looked, ended = threading.Semaphore(0), threading.Event()

    def answer(handler: Any) -> None:
        match handler.path.split("/")[3:]:
            case ["busy"]:
                looked.release()
                says({**(DONE if ended.is_set() else JOB), "id": "busy"})(handler)
            case ["waits"]:
                says({**(DONE if ended.is_set() else {**JOB, "state": "queued"}), "id": "waits"})(handler)
            case ["busy", _]:
                streams("")(handler)
                for number in range(1, 6):  # each once the one before has been looked at
                    looked.acquire()
                    handler.wfile.write(sse((f"{number}-0", "progress", {})).encode())
                looked.acquire()
                ended.set()
                handler.wfile.write(sse(("9-0", "state", {"state": "succeeded"})).encode())
            case ["waits", _]:
                ended.wait()
                streams(STORY)(handler)

    with serving(answer) as server, Easel(server.url) as easel:
        list(follow([easel.get("busy"), easel.get("waits")]))
    paths = [path for _, path, _, _ in server.seen]
    assert paths.count("/v1/jobs/busy") == 1 + 6
    assert paths.count("/v1/jobs/waits") <= 1 + 2, "once at first, and for its own two events"


def test_nobody_listens_to_a_job_that_has_ended() -> None:
    with serving(says(DONE)) as server, Easel(server.url) as easel:
        assert [[view.job.ended for view in views.values()] for views in follow([easel.get("a")])] == [[True]]
        assert [path for _, path, _, _ in server.seen] == ["/v1/jobs/a"]


def test_more_jobs_than_there_are_seats_are_all_told(capsys: pytest.CaptureFixture[str]) -> None:
    ids = [f"job-{number}" for number in range(20)]
    records = {job_id: [says({**JOB, "id": job_id})] for job_id in ids}
    with serving(by_path(records, streams(STORY))) as server, Easel(server.url) as easel:
        watch_events([easel.get(job_id) for job_id in ids])
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert sorted(line["job"] for line in lines) == sorted(ids * 2)


def test_the_queues_clocks_go_on_between_its_changes() -> None:
    waiting = {"name": "standard", "depth": 1, "oldest_seconds": 5, "eta_seconds": {"p50": 60, "p90": 90}}
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    watch_queue(iter([Queue.model_validate({**QUEUE, "tiers": [waiting]})]), screen)
    drawn: str = screen.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as made above
    assert "1:00 to 1:30" in drawn
    queue = Queue.model_validate({**QUEUE, "tiers": [waiting]})
    with screen.capture() as captured:
        screen.print(queue_sheet(queue, later=60))
    assert "1:05" in captured.get()
