"""The client's reading of server-sent events: whole, broken, and cut by the network in any way."""

import asyncio
import itertools
import json
import threading
from collections.abc import Callable

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fixtures.client import Connect
from support.scripted_server import JOB, QUEUE, Answer, Handler, cut_off, hangs_up, problem, says, serving, sse, streams

from easel import AsyncEasel, Event, JobView, NotFound, Unreachable, _requests
from easel._sync_bridge import drain
from easel._transports import BlockingWire

pytestmark = pytest.mark.usefixtures("short_pauses")


STORY = [
    ("1-0", "state", {"state": "queued"}),
    ("2-0", "progress", {"phase": "128 px"}),
    ("3-0", "state", {"state": "succeeded"}),
]
WIRE = BlockingWire()
NOTHING_MORE = says(b"", 204)


def test_events_end_with_the_job(connect: Connect) -> None:
    with serving(says(JOB), streams(sse(*STORY))) as server, connect(server.url) as easel:
        events = list(easel.get("x").events())
    assert events == [Event(*line) for line in STORY]
    assert [event.ends_job for event in events] == [False, False, True]


@pytest.mark.parametrize("end", [streams, cut_off])
def test_a_broken_stream_is_taken_up_where_it_broke(connect: Connect, end: Callable[[str], Answer]) -> None:
    half = end(sse(*STORY[:2]) + 'id: 9-0\nevent: state\ndata: {"sta')
    away = problem(503, "unavailable", retryable=True)
    rest = streams(sse(STORY[2]))
    with serving(says(JOB), half, hangs_up, away, rest) as server, connect(server.url) as easel:
        assert [event.id for event in easel.get("x").events(after="0-5")] == ["1-0", "2-0", "3-0"]
    asked = [headers.get("Last-Event-ID") for _, path, headers, _ in server.seen if path.endswith("/events")]
    assert asked == ["0-5", "2-0", "2-0", "2-0"]


def test_events_after_the_last_one_are_none(connect: Connect) -> None:
    with serving(says(JOB), streams(""), NOTHING_MORE) as server, connect(server.url) as easel:
        assert list(easel.get("x").events(after="3-0")) == []


def test_events_of_a_job_that_is_gone_are_an_error(connect: Connect) -> None:
    with serving(says(JOB), problem(404, "job_not_found")) as server, connect(server.url) as easel:
        job = easel.get("x")
        with pytest.raises(NotFound, match="job_not_found"):
            list(job.events())


def test_a_service_that_stays_away_ends_the_stream(connect: Connect, pauses: list[float]) -> None:
    with serving(says(JOB), hangs_up) as server, connect(server.url) as easel:
        with pytest.raises(Unreachable):
            list(easel.get("x").events())
        assert len(server.seen) == 1 + _requests.STREAM_ATTEMPTS
    assert len(pauses) == _requests.STREAM_ATTEMPTS - 1


def test_a_reader_who_leaves_gives_the_connection_back(connect: Connect) -> None:
    with serving(says(JOB), streams(sse(*STORY)), says(JOB)) as server, connect(server.url) as easel:
        stream = easel.get("x").events()
        assert next(stream).id == "1-0"
        stream.close()
        assert easel.get("x").id == JOB["id"]


def test_a_wait_that_is_given_up_gives_its_connection_back() -> None:
    def stays_silent(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        left.wait(30)
        handler.close_connection = True

    async def give_up(url: str) -> str:
        async with AsyncEasel(url) as easel:
            job = await easel.get("x")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(job.wait(), 0.05)
            left.set()
            return (await job.refresh()).id

    left = threading.Event()
    with serving(says(JOB), stays_silent, says(JOB)) as server:
        assert asyncio.run(give_up(server.url)) == JOB["id"]


def test_many_jobs_are_awaited_at_once() -> None:
    def answer(handler: Handler) -> None:
        (streams(sse(*STORY)) if handler.path.endswith("/events") else says(JOB))(handler)

    async def wait_for_all(url: str) -> list[JobView]:
        async with AsyncEasel(url) as easel:
            jobs = await asyncio.gather(*(easel.get(str(number)) for number in range(9)))
            return await asyncio.gather(*(job.wait() for job in jobs))

    with serving(answer) as server:
        assert len(asyncio.run(wait_for_all(server.url))) == 9
        assert len(server.seen) == 27


def test_waiting_ends_in_the_job_as_it_ended(connect: Connect) -> None:
    ended = says({**JOB, "state": "failed", "error": {"code": "diverged", "detail": "It did."}})
    with serving(says(JOB), streams(sse(*STORY)), ended) as server, connect(server.url) as easel:
        job = easel.get("x")
        assert job.wait() is job.view
    assert job.ended
    assert job.error.code == "diverged"


def test_the_queue_is_told_again_after_each_break(connect: Connect) -> None:
    looks = [streams(sse(("", "queue", {**QUEUE, "completed_last_hour": number}))) for number in (1, 2)]
    with serving(*looks) as server, connect(server.url) as easel:
        stream = easel.queue_events()
        assert [next(stream).completed_last_hour for _ in range(3)] == [1, 2, 2]
        stream.close()


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
    told = drain(WIRE.events(response))
    assert [Event(event.id, event.event, json.loads(event.data)) for event in told if event.data] == want
