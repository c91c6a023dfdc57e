"""The classes of events, and how they are read from a stream."""

import itertools
import json
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from support.scripted_server import JOB, QUEUE, progress_event, state_event

from easel import JobEvent, LeaseLostEvent, ProgressEvent, QueueChangedEvent, QueueEvent, StateEvent, UnknownEvent
from easel._sync_bridge import iterate_sync
from easel._transports import SyncTransport
from easel.events import JOB_EVENTS, QUEUE_EVENTS, KnownJobEvent

AT = "2026-11-22T14:00:02.120Z"
DATA: dict[str, dict[str, Any]] = {
    "state": {"state": "failed", "at": AT, "restored": True},
    "progress": progress_event("")[2],
    "estimate": {"queue_position": 2, "eta_seconds": {"p50": 60.0, "p90": 90.0}},
    "preview": {"step": 3, "url": "/v1/jobs/x/previews/3"},
    "warning": {"code": "out_of_memory", "detail": "The device has too little memory."},
    "worker_silent": {"since": AT, "lease_expires_at": "2026-11-22T14:01:02.120Z"},
    "lease_lost": {"worker": "one@here", "at": AT},
    "cancel_requested": {"at": AT},
    "finish_requested": {"at": AT},
    "acknowledged": {"request": "finish", "step": 7},
}
KINDS = sorted(DATA)


def job_event(event_id: str, kind: str, data: Any) -> JobEvent:
    return JOB_EVENTS.validate_python({"id": event_id, "kind": kind, "data": data})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_class_that_keeps_what_was_sent(kind: str) -> None:
    event = job_event("1-0", kind, {**DATA[kind], "a_later_field": [1]})
    assert (event.id, event.kind) == ("" if kind in {"estimate", "worker_silent"} else "1-0", kind)
    assert event.model_dump(mode="json", exclude_unset=True)["data"] == {**DATA[kind], "a_later_field": [1]}
    assert JOB_EVENTS.validate_json(JOB_EVENTS.dump_json(event)) == event


def test_fields_have_types() -> None:
    progress, lost = (job_event("", kind, DATA[kind]) for kind in ("progress", "lease_lost"))
    assert isinstance(progress, ProgressEvent)
    assert progress.data.progress.total == JOB["progress"]["total"]
    assert isinstance(lost, LeaseLostEvent)
    assert (lost.data.at.microsecond, lost.data.at.utcoffset()) == (120_000, lost.data.at.tzinfo.utcoffset(None))  # type: ignore[union-attr]  # it is aware


def test_only_a_final_state_ends_a_job() -> None:
    assert [job_event(*state_event("1-0", state)).ends_job for state in ("queued", "running", "canceled")] == [
        False,
        False,
        True,
    ]
    assert not job_event(*progress_event("1-0")).ends_job


@pytest.mark.parametrize("data", [{"a": 1}, [1], None])
@pytest.mark.parametrize("kind", ["paused", "unknown", "queue", ""])
def test_an_unknown_kind_keeps_its_name_and_data(kind: str, data: Any) -> None:
    event = job_event("1-0", kind, data)
    assert isinstance(event, UnknownEvent)
    assert (event.name, event.data, event.ends_job) == (kind, data, False)
    assert QUEUE_EVENTS.validate_python({"id": "", "kind": "paused", "data": data}).kind == "unknown"


def test_a_known_kind_without_its_fields_is_an_error() -> None:
    with pytest.raises(ValidationError):
        job_event("1-0", "state", {"state": "queued"})


def test_the_queue_arrives_as_a_whole() -> None:
    event = QUEUE_EVENTS.validate_python({"kind": "queue", "data": QUEUE})
    assert isinstance(event, QueueChangedEvent)
    assert (event.id, event.data.running[0].id) == ("", JOB["id"])


def test_the_schemas_tell_the_kinds_apart() -> None:
    schema = TypeAdapter[KnownJobEvent](KnownJobEvent).json_schema()
    assert sorted(schema["discriminator"]["mapping"]) == KINDS
    assert sorted(JOB_EVENTS.json_schema()["discriminator"]["mapping"]) == sorted([*KINDS, "unknown"])
    assert sorted(TypeAdapter[QueueEvent](QueueEvent).json_schema()["discriminator"]["mapping"]) == ["queue", "unknown"]
    at = StateEvent.model_json_schema()["$defs"]["StateChange"]["properties"]["at"]
    assert (at["type"], at["format"]) == ("string", "date-time")


words = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(
    st.lists(st.tuples(words, st.sampled_from(["state", "progress"]), words), max_size=4),
    st.sampled_from(["\n", "\r\n"]),
    st.lists(st.integers(0, 200), max_size=12),
)
def test_events_do_not_depend_on_how_the_network_splits_the_stream(
    events: list[tuple[str, str, str]], newline: str, cuts: list[int]
) -> None:
    lines = ": hello\nretry: 5\n\n" + "".join(
        f'id:{eid}\nevent: {kind}\n: a comment\ndata: {{\ndata:  "word": {json.dumps(word)}}}\n\n'
        for eid, kind, word in events
    )
    data = (lines + 'id: half\ndata: {"unfin').replace("\n", newline).encode()
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    chunks = iter([data[a:b] for a, b in itertools.pairwise(edges)])
    response = httpx2.Response(
        200, headers={"Content-Type": "text/event-stream"}, content=chunks, request=httpx2.Request("GET", "http://x")
    )
    received = iterate_sync(SyncTransport().events(response))
    assert [(event.id, event.event, json.loads(event.data)) for event in received if event.data] == [
        (eid.removeprefix(" "), kind, {"word": word}) for eid, kind, word in events
    ]
