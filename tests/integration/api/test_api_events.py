"""Streams and long polls of a real server process; the worker's part is played by hand on the ledger."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx2
import pytest
from flask.testing import FlaskClient
from support.fixtures.api import PAINTING, PHOTO, Server, claim, succeed, work

from api.routes import events
from shared.services import Services, ensure_paired, open_services
from shared.settings import Settings


class Watcher:
    """A client of one stream, event by event."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def next(self) -> dict[str, Any]:
        """The next event, comments passed over; {} at the stream's end."""
        event: dict[str, Any] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name in {"id", "event"}:
                event[name] = value
            elif name == "data":
                event["data"] = json.loads(value)
            elif not line and "event" in event:
                return event
        return {}

    def rest(self) -> list[dict[str, Any]]:
        return list(iter(self.next, {}))


@contextmanager
def watch(server: Server, path: str, **options: Any) -> Iterator[Watcher]:
    with server.http.stream("GET", path, **options) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield Watcher(response)


def submit(server: Server) -> str:
    files = {"content": ("a.png", PHOTO), "style": ("b.png", PAINTING)}
    answer = server.http.post("/v1/jobs", files=files, data={"recipe": '{"preset": "fast", "size": 96}'})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["data"].get("state", event["event"]) for event in events]


def test_a_job_is_watched_live_and_in_full_and_the_stream_ends_with_it(server: Server, services: Services) -> None:
    job_id = submit(server)
    with watch(server, f"/v1/jobs/{job_id}/events") as watcher:
        assert kinds([watcher.next()]) == ["queued"]
        held = claim(services)
        assert kinds([watcher.next()]) == ["running"]
        for step in (1, 2):
            work(services, held, step)
            assert watcher.next()["data"]["current"] == step
        succeed(services, held)
        assert kinds(watcher.rest()) == ["succeeded"]


def test_late_joiners_see_everything_and_others_what_they_missed(server: Server, services: Services) -> None:
    job_id = submit(server)
    held = claim(services)
    for step in (1, 2, 3):
        work(services, held, step)
    succeed(services, held)
    path = f"/v1/jobs/{job_id}/events"
    with watch(server, path) as watcher:
        story = watcher.rest()
    assert kinds(story) == ["queued", "running", "progress", "progress", "progress", "succeeded"]
    assert [event["id"] for event in story] == sorted(event["id"] for event in story)
    with watch(server, path, headers={"Last-Event-ID": story[2]["id"]}) as watcher:
        assert watcher.rest() == story[3:]
    with watch(server, f"{path}?last_event_id={story[3]['id']}") as watcher:
        assert watcher.rest() == story[4:]
    after = server.http.get(path, headers={"Last-Event-ID": story[-1]["id"]})
    assert after.status_code == 204, "an EventSource takes this as the end"


def test_a_quiet_stream_is_kept_open_by_comments(
    client: FlaskClient, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0)
    response = client.get(f"/v1/jobs/{job_id}/events")
    pieces = iter(response.response)
    assert [next(pieces)[:4] for _ in range(4)] == [b"retr", b"id: ", b": st", b": st"]
    response.close()


def test_a_stream_ends_when_its_job_is_deleted(
    client: FlaskClient, job_id: str, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0)
    response = client.get(f"/v1/jobs/{job_id}/events")
    pieces = iter(response.response)
    next(pieces)
    services.ledger.request_control(job_id, "cancel")
    services.ledger._redis.delete(f"easel:events:{job_id}", f"easel:job:{job_id}")
    assert list(pieces)[-1] == b": job_not_found\n\n"
    response.close()


def test_who_begins_behind_the_last_event_does_not_wait_for_ever(
    client: FlaskClient, job_id: str, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0)
    response = client.get(f"/v1/jobs/{job_id}/events?last_event_id=18446744073709551615-0")
    pieces = iter(response.response)
    next(pieces)
    services.ledger.request_control(job_id, "cancel")
    assert list(pieces) == []
    response.close()


@pytest.mark.parametrize("number", ["18446744073709551615-18446744073709551615", "18446744073709551616", "0-", "-1"])
def test_an_id_that_no_event_can_have_is_refused(number: str, client: FlaskClient, job_id: str) -> None:
    answer = client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": number})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("number", ["18446744073709551615", "18446744073709551615-0", "0-18446744073709551614"])
def test_every_id_that_redis_can_search_from_is_taken(number: str, client: FlaskClient, job_id: str) -> None:
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": number}).status_code in {200, 204}


def test_events_tell_the_time_as_the_rest_of_the_api_does(client: FlaskClient, job_id: str) -> None:
    completed = client.post(f"/v1/jobs/{job_id}/cancel").get_json()["completed_at"]
    told = [
        json.loads(line[6:])
        for line in client.get(f"/v1/jobs/{job_id}/events").text.splitlines()
        if line[:5] == "data:"
    ]
    moments = [data["at"] for data in told]
    assert len(moments) == 3
    assert all(moment.endswith("Z") for moment in moments)
    assert moments == sorted(moments)
    ended = datetime.fromisoformat(completed) - datetime.fromisoformat(moments[-1])
    assert abs(ended.total_seconds()) < 1


def test_a_stream_begins_with_how_soon_to_come_back(server: Server) -> None:
    with server.http.stream("GET", f"/v1/jobs/{submit(server)}/events") as response:
        assert next(response.iter_lines()) == "retry: 2000"
        assert response.headers["Cache-Control"] == "no-store"


def test_a_long_poll_is_answered_when_the_job_changes(server: Server, services: Services) -> None:
    job_id = submit(server)
    path = f"/v1/jobs/{job_id}"
    etag = server.http.get(path).headers["ETag"]
    worker = threading.Thread(target=claim, args=(services,))
    worker.start()
    answer = server.http.get(f"{path}?wait=20", headers={"If-None-Match": etag})
    worker.join()
    assert answer.json()["state"] == "running"
    assert answer.headers["ETag"] != etag
    missed = server.http.get(f"{path}?wait=20", headers={"If-None-Match": etag})
    assert missed.json()["state"] == "running", "a change between two polls is not waited for again"
    unchanged = server.http.get(f"{path}?wait=0.1", headers={"If-None-Match": answer.headers["ETag"]})
    assert unchanged.status_code == 304
    assert server.http.get(f"{path}?wait=0.1").json()["state"] == "running"


def test_a_long_poll_for_a_job_that_has_ended_returns_at_once(server: Server, services: Services) -> None:
    job_id = submit(server)
    succeed(services, claim(services))
    assert server.http.get(f"/v1/jobs/{job_id}?wait=60", timeout=10).json()["state"] == "succeeded"


def test_the_queue_is_watched_change_by_change(server: Server, services: Services) -> None:
    with watch(server, "/v1/queue/events") as watcher:
        assert watcher.next()["data"]["tiers"][0]["depth"] == 0
        submit(server)
        assert watcher.next()["data"]["tiers"][0]["depth"] == 1
        claim(services)
        assert [job["state"] for job in watcher.next()["data"]["running"]] == ["running"]


def test_watchers_leave_room_for_short_requests(settings: Settings, start_server: Callable[[Settings], Server]) -> None:
    server = start_server(settings.model_copy(update={"api_threads": 4}))
    job_id = submit(server)
    with (
        watch(server, f"/v1/jobs/{job_id}/events") as first,
        watch(server, f"/v1/jobs/{job_id}/events"),
        watch(server, "/v1/queue/events"),
    ):
        first.next()
        for path in (f"/v1/jobs/{job_id}/events", "/v1/queue/events", f"/v1/jobs/{job_id}?wait=5"):
            refused = server.http.get(path)
            assert (refused.status_code, refused.json()["code"]) == (503, "too_many_watchers")
            assert refused.headers["Retry-After"]
        assert server.http.get(f"/v1/jobs/{job_id}").status_code == 200
        assert server.http.head(f"/v1/jobs/{job_id}/events").status_code == 200


def test_a_seat_is_free_again_when_its_watcher_has_gone(server: Server, services: Services) -> None:
    job_id = submit(server)
    succeed(services, claim(services))
    for _ in range(40):  # more than there are threads
        with watch(server, f"/v1/jobs/{job_id}/events") as watcher:
            assert len(watcher.rest()) == 3


def test_the_server_ends_its_streams_and_stops_when_told(server: Server) -> None:
    job_id = submit(server)
    with watch(server, f"/v1/jobs/{job_id}/events") as watcher:
        watcher.next()
        server.process.terminate()
        assert watcher.rest() == []
    assert server.process.wait(15) == 0


def test_the_api_recovers_by_itself_when_redis_comes_back(
    settings: Settings, own_valkey: Any, start_server: Callable[[Settings], Server]
) -> None:
    own = settings.model_copy(update={"redis_url": own_valkey.url})
    own_valkey.stop()
    server = start_server(own)
    assert server.http.get("/v1/jobs").json()["code"] == "ledger_unavailable"
    assert server.http.get("/readyz").status_code == 503
    own_valkey.start()
    job_id = submit(server)
    services = open_services(own)
    ensure_paired(services)
    with watch(server, f"/v1/jobs/{job_id}/events") as watcher:
        watcher.next()
        own_valkey.stop()
        assert watcher.rest() == [], "the stream ends, and the client comes back by itself"
    assert server.http.get(f"/v1/jobs/{job_id}").status_code == 503
    own_valkey.start()
    with watch(server, f"/v1/jobs/{job_id}/events") as watcher:
        assert kinds([watcher.next()]) == ["queued"]
