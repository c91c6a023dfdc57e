"""What the client makes of refusals and of a network that fails: errors, and when it asks again."""

import pytest
from support.fixtures.client import Connect
from support.scripted_server import JOB, Answer, hangs_up, problem, says, serving

from easel import ApiError, Conflict, TooMany, Unreachable, _requests

BEYOND = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"  # more years than a clock can hold
pytestmark = pytest.mark.usefixtures("short_pauses")


def test_a_problem_becomes_an_error_with_all_it_says(connect: Connect) -> None:
    with serving(problem(422, "invalid_recipe")) as server, connect(server.url) as easel:
        with pytest.raises(ApiError) as caught:
            easel.get("x")
        assert len(server.seen) == 1
    error = caught.value
    assert (error.code, error.status, error.detail, error.retryable) == ("invalid_recipe", 422, "Do so.", False)
    assert error.extra == {"errors": [1]}


def test_a_refusal_without_a_problem_document_still_has_a_code(connect: Connect) -> None:
    with serving(says(b"oops", 404)) as server, connect(server.url) as easel, pytest.raises(ApiError) as caught:
        easel.get("x")
    assert (caught.value.code, caught.value.retryable) == ("http_404", False)


@pytest.mark.parametrize(
    "trouble", [problem(503, "ledger_unavailable", retryable=True), says(b"restarting", 502), hangs_up]
)
def test_passing_trouble_is_met_by_the_same_request_again(connect: Connect, trouble: Answer) -> None:
    with serving(trouble, trouble, says(JOB, 202)) as server, connect(server.url) as easel:
        assert easel.submit(b"photo", b"style").id == JOB["id"]
    assert len(server.seen) == 3
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in server.seen}) == 1
    assert len({body.count(b"photo") for *_, body in server.seen}) == 1


def test_attempts_are_bounded(connect: Connect) -> None:
    with serving(problem(503, "unavailable", retryable=True)) as server, connect(server.url) as easel:
        with pytest.raises(ApiError, match="unavailable"):
            easel.get("x")
        assert len(server.seen) == _requests.ATTEMPTS


def test_the_service_may_name_the_time_of_the_next_attempt(connect: Connect, pauses: list[float]) -> None:
    full = problem(429, "queue_full", retryable=True, Retry_After="7")
    with serving(full, says(JOB, 202)) as server, connect(server.url) as easel:
        easel.submit(b"photo", b"style")
    assert pauses == [7]


@pytest.mark.parametrize(
    ("asked", "least"), [("Tue, 24 Nov 2099 10:00:00 GMT", 1e9), ("soon", 0), ("-5", 0), (BEYOND, 0)]
)
def test_a_proxy_may_name_it_as_a_date(connect: Connect, asked: str, least: float) -> None:
    with serving(says(b"", 429, Retry_After=asked)) as server, connect(server.url) as easel:
        with pytest.raises(TooMany) as caught:
            easel.get("x")
        assert caught.value.retry_after >= least
        assert bool(caught.value.retry_after) == bool(least)


def test_patience_ends_where_the_service_asks_for_too_much_of_it(connect: Connect, pauses: list[float]) -> None:
    with serving(problem(429, "queue_full", retryable=True, Retry_After="30")) as server, connect(server.url) as easel:
        with pytest.raises(ApiError, match="queue_full"):
            easel.submit(b"photo", b"style")
        assert len(server.seen) == 2
    assert pauses == [30]


def test_a_time_too_far_away_is_not_waited_for(connect: Connect) -> None:
    away = problem(503, "unavailable", retryable=True, Retry_After="3600")
    with serving(away) as server, connect(server.url) as easel:
        with pytest.raises(ApiError) as caught:
            easel.get("x")
        assert (len(server.seen), caught.value.retry_after) == (1, 3600)


def test_a_picture_that_is_not_ready_is_not_asked_for_again_and_again(connect: Connect) -> None:
    with serving(says(JOB), problem(409, "not_ready", retryable=True)) as server, connect(server.url) as easel:
        with pytest.raises(Conflict, match="not_ready"):
            easel.get("x").result()
        assert len(server.seen) == 2


def test_pauses_grow_differ_and_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_requests, "FIRST_PAUSE", 1.0)
    told: list[float] = []
    patience = _requests.Patience(8, lambda _, seconds: told.append(seconds))
    gone = Unreachable("http://x", "gone", sent=False)
    assert [patience.pause(gone) for _ in range(7)] == told
    for pause, whole in zip(told, [1, 2, 4, 8, 8, 8, 8], strict=True):
        assert whole / 2 <= pause <= whole
    assert len(set(told[3:])) == 4
    with pytest.raises(Unreachable):
        patience.pause(gone)
    patience.renew()
    assert patience.pause(gone) <= 1


def test_nobody_there_names_the_fix(connect: Connect) -> None:
    with connect("http://127.0.0.1:9") as easel, pytest.raises(Unreachable, match="is `make up` running") as caught:
        easel.get("x")
    assert caught.value.retryable


def test_a_deletion_whose_answer_was_lost_is_not_sent_twice(connect: Connect) -> None:
    with serving(says(JOB), hangs_up) as server, connect(server.url) as easel:
        with pytest.raises(Unreachable):
            easel.get("x").delete()
        assert [method for method, *_ in server.seen] == ["GET", "DELETE"]


def test_a_cancel_whose_answer_was_lost_counts_when_the_job_is_canceled(connect: Connect) -> None:
    canceled = says({**JOB, "state": "canceled"})
    with serving(says(JOB), hangs_up, problem(409, "wrong_state"), canceled) as server, connect(server.url) as easel:
        job = easel.get("x")
        assert job.cancel().state == job.state == "canceled"


def test_a_finish_that_comes_after_a_cancel_is_refused(connect: Connect) -> None:
    canceled = says({**JOB, "state": "canceled"})
    with serving(says(JOB), problem(409, "wrong_state"), canceled) as server, connect(server.url) as easel:
        with pytest.raises(Conflict, match="wrong_state"):
            easel.get("x").finish()
        assert [method for method, *_ in server.seen] == ["GET", "POST", "GET"]
