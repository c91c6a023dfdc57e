"""Watching several jobs at once, on a terminal and while the service comes and goes."""

import io
from typing import Any

import pytest
from rich.console import Console
from tiny_server import JOB, Answer, problem, says, serving, sse, streams

from api import sending
from api.client import ApiError, Easel
from api.watching import follow, watch, watch_events

DONE: dict[str, Any] = {
    **JOB,
    "state": "succeeded",
    "progress": {"phase": "done", "current": 60, "total": 60, "percentage": 100},
    "losses": {"total": 6.5, "style": 3.0, "content": 2.5, "total_variation": 1.0},
}
STORY = sse(("1-0", "progress", {}), ("2-0", "state", {"state": "succeeded"}))
AWAY = problem(503, "ledger_unavailable", retryable=True)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(sending, "RECONNECT_PAUSE", 0.001)


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
    other = {**DONE, "id": "0199c0de-0000-7000-8000-00000000beef", "state": "canceled"}
    records = {"a": [says(JOB), says(DONE)], "b": [says(other)]}
    with serving(by_path(records, streams(STORY))) as server, Easel(server.url) as easel:
        jobs = watch(easel, ["a", "b"], screen)
    assert [job.state for job in jobs] == ["succeeded", "canceled"]
    drawn: str = screen.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as made above
    for part in ("succeeded", "canceled", "100%", "60/60", "loss 6.5"):
        assert part in drawn


def test_a_service_that_goes_away_for_a_while_is_waited_for() -> None:
    away = [AWAY] * 7
    records = {"a": [says(JOB), *away, says(DONE)]}
    with serving(by_path(records, streams(STORY))) as server, Easel(server.url) as easel:
        states = [views["a"].job.state for views in follow(easel, ["a"])]
    assert (states[0], states[-1]) == ("running", "succeeded")


def test_a_job_that_is_deleted_meanwhile_ends_the_watch() -> None:
    records = {"a": [says(JOB), problem(404, "job_not_found")]}
    with serving(by_path(records, streams(STORY))) as server, Easel(server.url) as easel:
        with pytest.raises(ApiError, match="job_not_found"):
            list(follow(easel, ["a"]))
        records["a"] = [says(JOB), problem(404, "job_not_found")]
        with pytest.raises(ApiError, match="job_not_found"):
            watch_events(easel, ["a"])


def test_nobody_listens_to_a_job_that_has_ended() -> None:
    with serving(says(DONE)) as server, Easel(server.url) as easel:
        assert [views["a"].job.ended for views in follow(easel, ["a"])] == [True]
        assert [path for _, path, _, _ in server.seen] == ["/v1/jobs/a"]
