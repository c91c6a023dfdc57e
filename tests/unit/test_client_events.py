"""The client's reading of server-sent events: whole, broken, and cut by the network in any way."""

import itertools
import json
from collections.abc import Callable

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_server import JOB, Answer, cut_off, hangs_up, problem, says, serving, sse, streams

from api import sending
from api.client import ApiError, Easel, Event, Unreachable
from api.sending import read_events


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(sending, "RECONNECT_PAUSE", 0.001)


STORY = [
    ("1-0", "state", {"state": "queued"}),
    ("2-0", "progress", {"phase": "128 px"}),
    ("3-0", "state", {"state": "succeeded"}),
]


def test_events_end_with_the_job() -> None:
    with serving(says(JOB), streams(sse(*STORY))) as server, Easel(server.url) as easel:
        events = list(easel.events("x"))
    assert events == [Event(*line) for line in STORY]
    assert [event.ends_job for event in events] == [False, False, True]


@pytest.mark.parametrize("end", [streams, cut_off])
def test_a_broken_stream_is_taken_up_where_it_broke(end: Callable[[str], Answer]) -> None:
    half = end(sse(*STORY[:2]) + 'id: 9-0\nevent: state\ndata: {"sta')
    away = problem(503, "unavailable", retryable=True)
    rest = streams(sse(STORY[2]))
    with serving(says(JOB), half, hangs_up, away, says(JOB), rest) as server, Easel(server.url) as easel:
        assert [event.id for event in easel.events("x", after="0-5")] == ["1-0", "2-0", "3-0"]
    asked = [headers.get("Last-Event-ID") for _, path, headers, _ in server.seen if path.endswith("/events")]
    assert asked == ["0-5", "2-0"]


def test_events_after_the_last_one_are_none() -> None:
    ended = {**JOB, "state": "succeeded"}
    with serving(says(ended), streams("")) as server, Easel(server.url) as easel:
        assert list(easel.events("x", after="3-0")) == []


def test_events_of_no_job_are_an_error() -> None:
    with (
        serving(problem(404, "job_not_found")) as server,
        Easel(server.url) as easel,
        pytest.raises(ApiError) as caught,
    ):
        list(easel.events("x"))
    assert caught.value.code == "job_not_found"


def test_a_service_that_stays_away_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "LONGEST_PAUSE", 0.001)
    with Easel("http://127.0.0.1:9") as easel, pytest.raises(Unreachable):
        list(easel.events("x"))


def test_waiting_ends_in_the_job_as_it_ended() -> None:
    ended = says({**JOB, "state": "failed", "error": {"code": "diverged", "detail": "It did."}})
    with serving(says(JOB), streams(sse(*STORY)), ended) as server, Easel(server.url) as easel:
        job = easel.wait("x")
    assert job.ended
    assert job.error is not None
    assert job.error.code == "diverged"


words = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(
    st.lists(st.tuples(words, st.sampled_from(["state", "progress"]), words), max_size=4),
    st.sampled_from(["\n", "\r\n"]),
    st.lists(st.integers(0, 200), max_size=12),
)
def test_events_are_the_same_however_the_network_cuts_them(
    story: list[tuple[str, str, str]], newline: str, cuts: list[int]
) -> None:
    lines = ": hello\nretry: 5\n\n" + "".join(
        f'id:{eid}\nevent: {kind}\n: still there\ndata: {{\ndata:  "word": {json.dumps(word)}}}\n\n'
        for eid, kind, word in story
    )
    data = (lines + 'id: half\ndata: {"unfin').replace("\n", newline).encode()
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    chunks = iter([data[a:b] for a, b in itertools.pairwise(edges)])
    response = httpx2.Response(
        200, headers={"Content-Type": "text/event-stream"}, content=chunks, request=httpx2.Request("GET", "http://x")
    )
    want = [Event(eid.removeprefix(" "), kind, {"word": word}) for eid, kind, word in story]
    assert list(read_events(response)) == want
