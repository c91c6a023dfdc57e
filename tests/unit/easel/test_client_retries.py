"""Errors of the service and of the network: which class is raised, and when the client retries."""

import socket
import ssl
import threading
import time
from email.utils import formatdate

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fixtures.client import Connect
from support.scripted_server import JOB, Responder, disconnect, problem, reply, serve

from easel import ApiError, Conflict, Easel, TooManyRequests, Unreachable, _requests
from easel._transports import SyncTransport
from easel.retry_after import parse_retry_after

OUT_OF_RANGE = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
pytestmark = pytest.mark.usefixtures("short_pauses")


def test_a_problem_becomes_an_error_with_all_its_members(connect: Connect) -> None:
    with serve(problem(422, "invalid_recipe")) as server, connect(server.url) as easel:
        with pytest.raises(ApiError) as caught:
            easel.get("x")
        assert len(server.requests) == 1
    error = caught.value
    assert (error.code, error.status, error.detail, error.retryable) == ("invalid_recipe", 422, "Do so.", False)
    assert error.extra == {"errors": [1]}


def test_an_error_without_a_problem_document_has_a_code(connect: Connect) -> None:
    with serve(reply(b"oops", 404)) as server, connect(server.url) as easel, pytest.raises(ApiError) as caught:
        easel.get("x")
    assert (caught.value.code, caught.value.retryable) == ("http_404", False)


@pytest.mark.parametrize(
    "failure", [problem(503, "ledger_unavailable", retryable=True), reply(b"restarting", 502), disconnect]
)
def test_a_transient_error_is_retried_with_the_same_request(connect: Connect, failure: Responder) -> None:
    with serve(failure, failure, reply(JOB, 202)) as server, connect(server.url) as easel:
        assert easel.submit(b"photo", b"style").id == JOB["id"]
    assert len(server.requests) == 3
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 1
    assert len({request.body.count(b"photo") for request in server.requests}) == 1


def test_the_number_of_attempts_is_limited(connect: Connect) -> None:
    with serve(problem(503, "unavailable", retryable=True)) as server, connect(server.url) as easel:
        with pytest.raises(ApiError, match="unavailable"):
            easel.get("x")
        assert len(server.requests) == _requests.ATTEMPTS


def test_the_service_can_set_the_time_of_the_next_attempt(connect: Connect, pauses: list[float]) -> None:
    full = problem(429, "queue_full", retryable=True, Retry_After="7")
    with serve(full, reply(JOB, 202)) as server, connect(server.url) as easel:
        easel.submit(b"photo", b"style")
    assert pauses == [7]


@pytest.mark.parametrize(
    ("header", "minimum"), [("Tue, 24 Nov 2099 10:00:00 GMT", 1e9), ("soon", 0), ("-5", 0), (OUT_OF_RANGE, 0)]
)
def test_a_proxy_can_set_it_as_a_date(connect: Connect, header: str, minimum: float) -> None:
    with serve(reply(b"", 429, Retry_After=header)) as server, connect(server.url) as easel:
        with pytest.raises(TooManyRequests) as caught:
            easel.get("x")
        assert caught.value.retry_after >= minimum
        assert bool(caught.value.retry_after) == bool(minimum)


def test_the_total_of_all_pauses_is_limited(connect: Connect, pauses: list[float]) -> None:
    with serve(problem(429, "queue_full", retryable=True, Retry_After="30")) as server, connect(server.url) as easel:
        with pytest.raises(ApiError, match="queue_full"):
            easel.submit(b"photo", b"style")
        assert len(server.requests) == 2
    assert pauses == [30]


def test_a_retry_that_is_too_far_away_is_not_awaited(connect: Connect) -> None:
    unavailable = problem(503, "unavailable", retryable=True, Retry_After="3600")
    with serve(unavailable) as server, connect(server.url) as easel:
        with pytest.raises(ApiError) as caught:
            easel.get("x")
        assert (len(server.requests), caught.value.retry_after) == (1, 3600)


def test_a_result_that_is_not_ready_is_not_retried(connect: Connect) -> None:
    with serve(reply(JOB), problem(409, "not_ready", retryable=True)) as server, connect(server.url) as easel:
        with pytest.raises(Conflict, match="not_ready"):
            easel.get("x").result()
        assert len(server.requests) == 2


def test_pauses_grow_vary_and_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_requests, "FIRST_PAUSE", 1.0)
    reported: list[float] = []
    budget = _requests.RetryBudget(8, lambda _, seconds: reported.append(seconds))
    error = Unreachable("http://x", "gone", sent=False)
    assert [budget.next_pause(error) for _ in range(7)] == reported
    for pause, backoff in zip(reported, [1, 2, 4, 8, 8, 8, 8], strict=True):
        assert backoff / 2 <= pause <= backoff
    assert len(set(reported[3:])) == 4
    with pytest.raises(Unreachable):
        budget.next_pause(error)
    budget.reset()
    assert budget.next_pause(error) <= 1


def test_pauses_do_not_exceed_the_deadline() -> None:
    error = ApiError("full", code="queue_full", retryable=True, retry_after=30)
    assert _requests.RetryBudget(8, None, time.monotonic() + 5).next_pause(error) <= 5
    with pytest.raises(ApiError):
        _requests.RetryBudget(8, None, time.monotonic()).next_pause(error)


def test_an_unreachable_service_is_an_error_that_names_the_fix(connect: Connect) -> None:
    with connect("http://127.0.0.1:9") as easel, pytest.raises(Unreachable, match="is `make up` running") as caught:
        easel.get("x")
    assert caught.value.retryable


def test_https_to_a_server_without_it_is_an_error_that_names_the_fix(connect: Connect) -> None:
    with serve(reply(JOB)) as server:
        url = server.url.replace("http:", "https:")
        with connect(url) as easel, pytest.raises(ApiError, match=r"should it be http://\? \[no_https\]") as caught:
            easel.get("x")
    assert not caught.value.transient


def test_an_invalid_certificate_is_not_retried(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    def refuse(*_: object) -> None:
        refusal = ssl.SSLCertVerificationError(1, "certificate verify failed")
        refusal.verify_message = "certificate has expired"
        raise httpx2.ConnectError(str(refusal)) from refusal

    monkeypatch.setattr(SyncTransport, "send", refuse)
    message = r"certificate of https://x is not valid: certificate has expired\. \[bad_certificate\]"
    with Easel("https://x") as easel, pytest.raises(ApiError, match=message):
        easel.get("x")
    assert pauses == []


def test_a_tls_connection_that_breaks_is_retried(connect: Connect, pauses: list[float]) -> None:
    def hang_up(listener: socket.socket) -> None:
        for _ in range(_requests.ATTEMPTS):
            connection, _ = listener.accept()
            connection.recv(1)  # of the client's greeting
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up, args=(listener,))
        thread.start()
        with connect(f"https://127.0.0.1:{listener.getsockname()[1]}") as easel, pytest.raises(Unreachable):
            easel.get("x")
        thread.join()
    assert len(pauses) == _requests.ATTEMPTS - 1


def test_a_deletion_without_a_response_is_not_retried(connect: Connect) -> None:
    with serve(reply(JOB), disconnect) as server, connect(server.url) as easel:
        with pytest.raises(Unreachable):
            easel.get("x").delete()
        assert [request.method for request in server.requests] == ["GET", "DELETE"]


def test_a_repeated_cancel_succeeds_if_the_job_is_canceled(connect: Connect) -> None:
    canceled = reply({**JOB, "state": "canceled"})
    with serve(reply(JOB), disconnect, problem(409, "wrong_state"), canceled) as server, connect(server.url) as easel:
        job = easel.get("x")
        assert job.cancel().state == job.state == "canceled"


def test_a_finish_after_a_cancel_is_an_error(connect: Connect) -> None:
    canceled = reply({**JOB, "state": "canceled"})
    with serve(reply(JOB), problem(409, "wrong_state"), canceled) as server, connect(server.url) as easel:
        with pytest.raises(Conflict, match="wrong_state"):
            easel.get("x").finish()
        assert [request.method for request in server.requests] == ["GET", "POST", "GET"]


# The header Retry-After.


def test_the_header_is_a_number_of_seconds_or_a_date() -> None:
    assert parse_retry_after("120") == 120
    assert 3500 < parse_retry_after(formatdate(time.time() + 3600, usegmt=True)) <= 3600
    others = ("", "soon", "-5", "1.5", formatdate(0, usegmt=True))
    assert [parse_retry_after(text) for text in others] == [0] * 5


@given(st.text())
def test_any_header_is_a_finite_number_of_seconds(text: str) -> None:
    assert 0 <= parse_retry_after(text) < float("inf")


@pytest.mark.parametrize("text", ["9" * 400, "Fri, 31 Dec 9999 23:59:59 -2300", OUT_OF_RANGE])
def test_headers_out_of_range_are_finite_too(text: str) -> None:
    assert 0 <= parse_retry_after(text) < float("inf")
