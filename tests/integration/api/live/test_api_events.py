"""Event streams and long polls of a real server process; the test acts as the worker."""

import json
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import Server, claim, report_progress, succeed, worker_info
from support.stream_client import submit_to, watch

from api.routes import events
from shared.services import Services, ensure_paired, open_services
from shared.settings import Settings


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["data"].get("state", event["event"]) for event in events]


def test_a_stream_sends_each_event_as_it_happens_and_ends_with_the_job(server: Server, services: Services) -> None:
    job_id = submit_to(server)
    with watch(server, f"/v1/jobs/{job_id}/events") as stream:
        assert kinds([stream.next()]) == ["queued"]
        claimed = claim(services)
        assert kinds([stream.next()]) == ["running"]
        for step in (1, 2):
            report_progress(services, claimed, step)
            assert stream.next()["data"]["progress"]["current"] == step
        succeed(services, claimed)
        assert kinds(stream.rest()) == ["succeeded"]


def test_the_estimate_follows_in_the_stream_and_again_when_the_position_changes(
    server: Server, services: Services
) -> None:
    services.queue_stats.register_worker(worker_info())
    first, second = submit_to(server), submit_to(server)
    with watch(server, f"/v1/jobs/{second}/events", estimates=True) as stream:
        assert stream.next()["data"]["state"] == "queued"
        estimate = stream.next()
        assert "id" not in estimate, "a replay after this id would not be possible"
        assert estimate["data"]["queue_position"] == 2
        assert estimate["data"]["eta_seconds"]["p90"] >= estimate["data"]["eta_seconds"]["p50"] > 0
        services.ledger.request_control(first, "cancel")
        assert stream.next()["data"]["queue_position"] == 1


def test_a_stream_replays_all_events_or_those_after_the_last_event_id(server: Server, services: Services) -> None:
    job_id = submit_to(server)
    claimed = claim(services)
    for step in (1, 2, 3):
        report_progress(services, claimed, step)
    succeed(services, claimed)
    path = f"/v1/jobs/{job_id}/events"
    with watch(server, path) as stream:
        history = stream.rest()
    assert kinds(history) == ["queued", "running", "progress", "progress", "progress", "succeeded"]
    assert [event["id"] for event in history] == sorted(event["id"] for event in history)
    with watch(server, path, headers={"Last-Event-ID": history[2]["id"]}) as stream:
        assert stream.rest() == history[3:]
    with watch(server, f"{path}?last_event_id={history[3]['id']}") as stream:
        assert stream.rest() == history[4:]
    after = server.http.get(path, headers={"Last-Event-ID": history[-1]["id"]})
    assert after.status_code == 204, "an EventSource takes this as the end"


def test_a_quiet_stream_sends_heartbeats(client: FlaskClient, job_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0)
    response = client.get(f"/v1/jobs/{job_id}/events")
    pieces = (piece for piece in response.response if not piece.startswith(b"event: estimate"))
    assert [next(pieces)[:4] for _ in range(4)] == [b"retr", b"id: ", b": he", b": he"]
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


def test_a_stream_after_a_future_id_ends_with_the_job(
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
def test_an_invalid_event_id_is_rejected(number: str, client: FlaskClient, job_id: str) -> None:
    response = client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": number})
    assert (response.status_code, response.get_json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("number", ["18446744073709551615", "18446744073709551615-0", "0-18446744073709551614"])
def test_every_event_id_that_redis_accepts_is_accepted(number: str, client: FlaskClient, job_id: str) -> None:
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": number}).status_code in {200, 204}


def test_events_have_iso_8601_times(client: FlaskClient, job_id: str) -> None:
    completed = client.post(f"/v1/jobs/{job_id}/cancel").get_json()["completed_at"]
    lines = client.get(f"/v1/jobs/{job_id}/events").text.splitlines()
    times = [json.loads(line.removeprefix("data: "))["at"] for line in lines if line.startswith("data: ")]
    assert len(times) == 3
    assert all(time.endswith("Z") for time in times)
    assert times == sorted(times)
    difference = datetime.fromisoformat(completed) - datetime.fromisoformat(times[-1])
    assert abs(difference.total_seconds()) < 1


def test_a_stream_starts_with_the_retry_interval(server: Server) -> None:
    with server.http.stream("GET", f"/v1/jobs/{submit_to(server)}/events") as response:
        assert next(response.iter_lines()) == "retry: 2000"
        assert response.headers["Cache-Control"] == "no-store"


def test_a_long_poll_returns_when_the_job_changes(server: Server, services: Services) -> None:
    job_id = submit_to(server)
    path = f"/v1/jobs/{job_id}"
    etag = server.http.get(path).headers["ETag"]
    worker = threading.Thread(target=claim, args=(services,))
    worker.start()
    response = server.http.get(f"{path}?wait=20", headers={"If-None-Match": etag})
    worker.join()
    assert response.json()["state"] == "running"
    assert response.headers["ETag"] != etag
    missed = server.http.get(f"{path}?wait=20", headers={"If-None-Match": etag})
    assert missed.json()["state"] == "running", "a change between two polls is not waited for again"
    unchanged = server.http.get(f"{path}?wait=0.1", headers={"If-None-Match": response.headers["ETag"]})
    assert unchanged.status_code == 304
    assert server.http.get(f"{path}?wait=0.1").json()["state"] == "running"


def test_a_long_poll_for_an_ended_job_returns_at_once(server: Server, services: Services) -> None:
    job_id = submit_to(server)
    succeed(services, claim(services))
    assert server.http.get(f"/v1/jobs/{job_id}?wait=60", timeout=10).json()["state"] == "succeeded"


def test_the_queue_stream_sends_each_change(server: Server, services: Services) -> None:
    with watch(server, "/v1/queue/events") as stream:
        assert [tier["depth"] for tier in stream.next()["data"]["tiers"]] == [0, 0, 0]
        submit_to(server)
        assert [tier["depth"] for tier in stream.next()["data"]["tiers"]] == [0, 1, 0]
        claim(services)
        assert [job["state"] for job in stream.next()["data"]["running"]] == ["running"]


def test_streams_leave_threads_for_short_requests(
    settings: Settings, start_server: Callable[[Settings], Server]
) -> None:
    server = start_server(settings.model_copy(update={"api_threads": 4}))
    job_id = submit_to(server)
    with (
        watch(server, f"/v1/jobs/{job_id}/events") as first,
        watch(server, f"/v1/jobs/{job_id}/events"),
        watch(server, "/v1/queue/events"),
    ):
        first.next()
        for path in (f"/v1/jobs/{job_id}/events", "/v1/queue/events", f"/v1/jobs/{job_id}?wait=5"):
            refused = server.http.get(path)
            assert (refused.status_code, refused.json()["code"]) == (503, "server_busy")
            assert refused.headers["Retry-After"]
        assert server.http.get(f"/v1/jobs/{job_id}").status_code == 200
        assert server.http.head(f"/v1/jobs/{job_id}/events").status_code == 200


def test_a_closed_stream_no_longer_counts(server: Server, services: Services) -> None:
    job_id = submit_to(server)
    succeed(services, claim(services))
    for _ in range(40):  # more than there are threads
        with watch(server, f"/v1/jobs/{job_id}/events") as stream:
            assert len(stream.rest()) == 3


def test_the_server_ends_its_streams_on_sigterm(server: Server) -> None:
    job_id = submit_to(server)
    with watch(server, f"/v1/jobs/{job_id}/events") as stream:
        stream.next()
        server.process.terminate()
        assert stream.rest() == []
    assert server.process.wait(15) == 0


def test_the_api_recovers_when_redis_returns(
    settings: Settings, own_valkey: Any, start_server: Callable[[Settings], Server]
) -> None:
    own_settings = settings.model_copy(update={"redis_url": own_valkey.url})
    own_valkey.stop()
    server = start_server(own_settings)
    assert server.http.get("/v1/jobs").json()["code"] == "ledger_unavailable"
    assert server.http.get("/readyz").status_code == 503
    own_valkey.start()
    job_id = submit_to(server)
    services = open_services(own_settings)
    ensure_paired(services)
    with watch(server, f"/v1/jobs/{job_id}/events") as stream:
        stream.next()
        own_valkey.stop()
        assert stream.rest() == [], "the stream ends, and the client comes back by itself"
    assert server.http.get(f"/v1/jobs/{job_id}").status_code == 503
    own_valkey.start()
    with watch(server, f"/v1/jobs/{job_id}/events") as stream:
        assert kinds([stream.next()]) == ["queued"]
