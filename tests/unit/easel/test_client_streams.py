"""The client's streams of events and `wait`, when connections break and when jobs end."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.fixtures.client import Connect
from support.scripted_server import (
    JOB,
    QUEUE,
    Handler,
    Responder,
    broken_stream,
    disconnect,
    event_stream,
    format_events,
    problem,
    progress_event,
    reply,
    serve,
    state_event,
)

from easel import ApiError, AsyncEasel, JobStatus, NotFound, UnknownEvent, Unreachable, _requests

pytestmark = pytest.mark.usefixtures("short_pauses")


EVENTS = [state_event("1-0", "queued"), progress_event("2-0"), state_event("3-0", "succeeded")]
NO_MORE_EVENTS = reply(b"", 204)
LOSSES = {"total": 6.0, "style": 3.0, "content": 2.0, "total_variation": 1.0}
FAILED = {**JOB, "state": "failed", "error": {"code": "diverged", "detail": "Lower the weights."}}


def test_events_end_with_the_job(connect: Connect) -> None:
    with serve(reply(JOB), event_stream(format_events(*EVENTS))) as server, connect(server.url) as easel:
        events = list(easel.get("x").events())
    assert [(event.id, event.kind) for event in events] == [(event_id, kind) for event_id, kind, _ in EVENTS]
    assert events[1].data.progress.percentage == 2.5
    assert [event.ends_job for event in events] == [False, False, True]


def test_events_keep_the_status_up_to_date(connect: Connect) -> None:
    at = "2026-11-22T14:00:02.125Z"
    queued = {**JOB, "state": "queued", "queue_position": 1, "progress": {"total": 60}}
    estimate = {"queue_position": 3, "eta_seconds": {"p50": 60, "p90": 90}}
    progress = {"progress": JOB["progress"], "losses": LOSSES, "steps_per_second": 0.5}
    events: list[tuple[str, Any, Callable[[JobStatus], object], object]] = [
        ("estimate", estimate, lambda status: (status.queue_position, status.eta_seconds.p90), (3, 90)),
        (
            "state",
            {"state": "running", "at": at},
            lambda status: (status.state, status.queue_position),
            ("running", None),
        ),
        ("progress", progress, lambda status: (status.progress.percentage, status.losses.total), (2.5, 6)),
        ("paused", {}, lambda status: (status.state, status.metrics.steps_per_second), ("running", 0.5)),
        ("finish_requested", {"at": at}, lambda status: status.finish_requested_at.year, 2026),
        ("cancel_requested", {"at": at}, lambda status: status.cancel_requested_at.year, 2026),
        ("state", {"state": "canceled", "at": at}, lambda status: (status.ended, status.eta_seconds), (True, None)),
    ]
    stream = event_stream(format_events(*((f"{number}-0", *event[:2]) for number, event in enumerate(events))))
    with serve(reply(queued), stream) as server, connect(server.url) as easel:
        job = easel.get("x")
        for _, (_, _, read, expected) in zip(job.events(), events, strict=True):
            assert read(job.status) == expected
    assert (job.state, job.status.tier) == ("canceled", "standard")


def test_past_events_leave_the_status_of_an_ended_job_alone(connect: Connect) -> None:
    with serve(reply(FAILED), event_stream(format_events(*EVENTS))) as server, connect(server.url) as easel:
        job = easel.get("x")
        assert {job.state for _ in job.events()} == {"failed"}
        assert job.error.code == "diverged"


@pytest.mark.parametrize("end", [event_stream, broken_stream])
def test_a_broken_stream_is_resumed_after_the_last_event(connect: Connect, end: Callable[[str], Responder]) -> None:
    half = end(format_events(*EVENTS[:2]) + 'id: 9-0\nevent: state\ndata: {"sta')
    unavailable = problem(503, "unavailable", retryable=True)
    rest = event_stream(format_events(EVENTS[2]))
    with serve(reply(JOB), half, disconnect, unavailable, rest) as server, connect(server.url) as easel:
        assert [event.id for event in easel.get("x").events(after="0-5")] == ["1-0", "2-0", "3-0"]
    streams = [request for request in server.requests if request.path.endswith("/events")]
    assert [request.headers.get("Last-Event-ID") for request in streams] == ["0-5", "2-0", "2-0", "2-0"]


def test_there_are_no_events_after_the_last_one(connect: Connect) -> None:
    with serve(reply(JOB), event_stream(""), NO_MORE_EVENTS) as server, connect(server.url) as easel:
        assert list(easel.get("x").events(after="3-0")) == []


def test_the_stream_of_a_deleted_job_raises_not_found(connect: Connect) -> None:
    with serve(reply(JOB), problem(404, "job_not_found")) as server, connect(server.url) as easel:
        job = easel.get("x")
        with pytest.raises(NotFound, match="job_not_found"):
            list(job.events())


def test_a_stream_of_something_else_is_an_error(connect: Connect) -> None:
    stream = event_stream("id: 1-0\nevent: state\ndata: no JSON\n\n")
    with serve(reply(JOB), stream) as server, connect(server.url) as easel:
        job = easel.get("x")
        with pytest.raises(ApiError, match="not_easel"):
            list(job.events())


def test_a_known_kind_with_unknown_values_is_an_unknown_event_and_the_stream_continues(connect: Connect) -> None:
    stream = event_stream(format_events(state_event("1-0", "paused"), EVENTS[-1]))
    with serve(reply(JOB), stream) as server, connect(server.url) as easel:
        unknown, known = easel.get("x").events()
    assert isinstance(unknown, UnknownEvent)
    assert (unknown.name, known.ends_job) == ("state", True)


def test_an_estimate_has_no_id_because_no_stream_can_resume_after_it(connect: Connect) -> None:
    estimate = 'event: estimate\ndata: {"queue_position":2,"eta_seconds":null}\n\n'
    stream = event_stream(format_events(EVENTS[0]) + estimate + format_events(EVENTS[-1]))
    with serve(reply(JOB), stream) as server, connect(server.url) as easel:
        assert [event.id for event in easel.get("x").events()] == ["1-0", "", "3-0"]


def test_a_stream_ends_with_an_error_if_the_service_does_not_come_back(connect: Connect, pauses: list[float]) -> None:
    with serve(reply(JOB), disconnect) as server, connect(server.url) as easel:
        with pytest.raises(Unreachable):
            list(easel.get("x").events())
        assert len(server.requests) == 1 + _requests.STREAM_ATTEMPTS
    assert len(pauses) == _requests.STREAM_ATTEMPTS - 1


def test_closing_a_stream_frees_its_connection(connect: Connect) -> None:
    with serve(reply(JOB), event_stream(format_events(*EVENTS)), reply(JOB)) as server, connect(server.url) as easel:
        stream = easel.get("x").events()
        assert next(stream).id == "1-0"
        stream.close()
        assert easel.get("x").id == JOB["id"]


def test_the_queues_stream_is_resumed(connect: Connect) -> None:
    streams = [
        event_stream(format_events(("", "queue", {**QUEUE, "completed_last_hour": number}))) for number in (1, 2)
    ]
    with serve(*streams) as server, connect(server.url) as easel:
        stream = easel.queue_events()
        assert [next(stream).data.completed_last_hour for _ in range(3)] == [1, 2, 2]
        stream.close()


def test_wait_returns_the_status_of_the_ended_job(connect: Connect) -> None:
    with serve(reply(JOB), reply(JOB), reply(FAILED)) as server, connect(server.url) as easel:
        job = easel.get("x")
        assert job.wait() is job.status
    assert job.ended
    assert job.error.code == "diverged"


def test_wait_lasts_through_a_restart_of_the_service(connect: Connect, pauses: list[float]) -> None:
    away = [problem(503, "unavailable", retryable=True)] * (_requests.STREAM_ATTEMPTS - 1)
    with serve(reply(JOB), *away, reply(FAILED)) as server, connect(server.url) as easel:
        assert easel.get("x").wait(timeout=600).state == "failed"
    assert len(pauses) == len(away)


@pytest.mark.parametrize("response", [reply(JOB), disconnect, problem(503, "unavailable", retryable=True)])
def test_wait_raises_a_timeout_error_if_the_job_goes_on(connect: Connect, response: Responder) -> None:
    with serve(reply(JOB), response) as server, connect(server.url) as easel:
        job = easel.get("x")
        with pytest.raises(TimeoutError, match=r"has not ended after 0\.02 s"):
            job.wait(timeout=0.02)
    assert not job.ended


def test_wait_asks_the_service_to_hold_its_response_no_longer_than_the_timeout(connect: Connect) -> None:
    with serve(reply(JOB), reply(FAILED)) as server, connect(server.url) as easel:
        easel.get("x").wait(timeout=5)
        held = server.requests[1].path.partition("?wait=")[2]
        easel.get("x").wait()
    assert 4 < float(held) <= 5
    assert server.requests[-1].path.endswith("?wait=10")


def test_wait_raises_other_errors_at_once(connect: Connect) -> None:
    with serve(reply(JOB), problem(404, "job_not_found")) as server, connect(server.url) as easel:
        job = easel.get("x")
        with pytest.raises(NotFound):
            job.wait(timeout=600)


def test_a_canceled_wait_frees_its_connection() -> None:
    canceled = threading.Event()

    def stay_silent(handler: Handler) -> None:
        canceled.wait(30)
        handler.close_connection = True

    async def cancel_wait(url: str) -> str:
        async with AsyncEasel(url) as easel:
            job = await easel.get("x")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(job.wait(), 0.05)
            canceled.set()
            return (await job.refresh()).id

    with serve(reply(JOB), stay_silent, reply(JOB)) as server:
        assert asyncio.run(cancel_wait(server.url)) == JOB["id"]


def test_one_task_per_job_can_wait() -> None:
    def respond(handler: Handler) -> None:
        reply(FAILED if "wait=" in handler.path else JOB)(handler)

    async def wait_for_all(url: str) -> list[JobStatus]:
        async with AsyncEasel(url) as easel:
            jobs = await asyncio.gather(*(easel.get(str(number)) for number in range(9)))
            return await asyncio.gather(*(job.wait() for job in jobs))

    with serve(respond) as server:
        assert len(asyncio.run(wait_for_all(server.url))) == 9
        assert len(server.requests) == 18
