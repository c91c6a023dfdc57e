"""The client's requests, answers and second attempts, over a real socket to a server of a few lines."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_server import JOB, Answer, hangs_up, problem, says, serving

from api import sending
from api.client import ApiError, Easel, Unreachable


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(sending, "RECONNECT_PAUSE", 0.001)


# Asking and reading.


def test_a_submission_carries_the_images_the_recipe_and_a_key_of_its_own() -> None:
    with serving(says(JOB, 202)) as server, Easel(server.url, "secret") as easel:
        job = easel.submit(b"photo", [b"one", b"two"], {"steps": 5}, tier="batch")
    method, path, headers, body = server.seen[0]
    assert (method, path, headers["Authorization"]) == ("POST", "/v1/jobs", "Bearer secret")
    assert len(headers["Idempotency-Key"]) == 36
    assert body.count(b'name="style"') == 2
    assert body.count(b'name="content"') == 1
    assert b'{"steps": 5}' in body
    assert b"batch" in body
    assert (job.id, job.state, job.progress.total, job.ended) == (JOB["id"], "running", 60, False)


def test_a_preset_and_a_recipe_file_are_recipes_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"steps": 7}')
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    with serving(says(JOB, 202)) as server, Easel(server.url) as easel:
        easel.submit(tmp_path / "photo.jpg", b"style", "fast")
        easel.submit(str(tmp_path / "photo.jpg"), b"style", file)
    assert b'{"preset": "fast"}' in server.seen[0][3]
    assert b'filename="photo.jpg"' in server.seen[1][3]
    assert b'{"steps": 7}' in server.seen[1][3]


def test_a_recipe_file_that_is_no_json_object_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    for text in ("{", "[1]", "5"):
        (tmp_path / "bad.json").write_text(text)
        with Easel("http://127.0.0.1:9") as easel, pytest.raises(ApiError, match="not a JSON object") as caught:
            easel.submit(b"photo", b"style", tmp_path / "bad.json")
        assert (caught.value.code, caught.value.status) == ("invalid_recipe", 0)


def test_a_list_turns_the_pages_as_it_is_read() -> None:
    first = says({"jobs": [JOB, JOB], "next_cursor": "abc"})
    with serving(first, says({"jobs": [JOB], "next_cursor": None})) as server, Easel(server.url) as easel:
        jobs = easel.list("running", page=2)
        next(jobs)
        assert len(server.seen) == 1
        assert len(list(jobs)) == 2
    assert [path for _, path, _, _ in server.seen] == [
        "/v1/jobs?limit=2&state=running",
        "/v1/jobs?limit=2&state=running&cursor=abc",
    ]


def test_an_id_cannot_reach_beyond_its_place_in_the_path() -> None:
    with serving(problem(404, "invalid_job_id")) as server, Easel(server.url) as easel:
        with pytest.raises(ApiError, match="invalid_job_id"):
            easel.get("../queue?x=")
        assert server.seen[0][1] == "/v1/jobs/..%2Fqueue%3Fx%3D"


def test_a_stranger_on_the_port_is_recognised() -> None:
    with serving(says(b"<html>")) as server, Easel(server.url) as easel:
        for ask in (easel.queue, lambda: easel.get("x"), lambda: easel.provenance("x")):
            with pytest.raises(ApiError, match="not_easel"):
                ask()


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://", "http://x:port"])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ApiError, match="bad_url"):
        Easel(url)


# Errors and second attempts.


def test_a_problem_becomes_an_error_with_all_it_says() -> None:
    with serving(problem(422, "invalid_recipe")) as server, Easel(server.url) as easel:
        with pytest.raises(ApiError) as caught:
            easel.get("x")
        assert len(server.seen) == 1
    error = caught.value
    assert (error.code, error.status, error.detail, error.retryable) == ("invalid_recipe", 422, "Do so.", False)
    assert error.extra == {"errors": [1]}


def test_a_refusal_without_a_problem_document_still_has_a_code() -> None:
    with serving(says(b"oops", 404)) as server, Easel(server.url) as easel, pytest.raises(ApiError) as caught:
        easel.get("x")
    assert (caught.value.code, caught.value.retryable) == ("http_404", False)


@pytest.mark.parametrize(
    "trouble", [problem(503, "ledger_unavailable", retryable=True), says(b"restarting", 502), hangs_up]
)
def test_passing_trouble_is_met_by_the_same_request_again(trouble: Answer) -> None:
    with serving(trouble, trouble, says(JOB, 202)) as server, Easel(server.url) as easel:
        assert easel.submit(b"photo", b"style").id == JOB["id"]
    assert len(server.seen) == 3
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in server.seen}) == 1
    assert len({body.count(b"photo") for *_, body in server.seen}) == 1


def test_attempts_are_bounded() -> None:
    with serving(problem(503, "unavailable", retryable=True)) as server, Easel(server.url) as easel:
        with pytest.raises(ApiError, match="unavailable"):
            easel.get("x")
        assert len(server.seen) == sending.ATTEMPTS


def test_the_service_may_name_the_time_of_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("api.sending.time.sleep", pauses.append)
    full = problem(429, "queue_full", retryable=True, Retry_After="7")
    with serving(full, says(JOB, 202)) as server, Easel(server.url) as easel:
        easel.submit(b"photo", b"style")
    assert pauses == [7]


def test_patience_ends_where_the_service_asks_for_too_much_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("api.sending.time.sleep", pauses.append)
    with serving(problem(429, "queue_full", retryable=True, Retry_After="30")) as server, Easel(server.url) as easel:
        with pytest.raises(ApiError, match="queue_full"):
            easel.submit(b"photo", b"style")
        assert len(server.seen) == 2
    assert pauses == [30]


def test_a_time_too_far_away_is_not_waited_for() -> None:
    with serving(problem(503, "unavailable", retryable=True, Retry_After="3600")) as server, Easel(server.url) as easel:
        with pytest.raises(ApiError) as caught:
            easel.get("x")
        assert (len(server.seen), caught.value.retry_after) == (1, 3600)


def test_a_picture_that_is_not_ready_is_not_asked_for_again_and_again() -> None:
    with serving(problem(409, "not_ready", retryable=True)) as server, Easel(server.url) as easel:
        with pytest.raises(ApiError, match="not_ready"):
            easel.result("x")
        assert len(server.seen) == 1


def test_pauses_grow_differ_and_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.sending.time.sleep", lambda _: None)
    monkeypatch.setattr(sending, "FIRST_PAUSE", 1.0)
    pauses: list[float] = []
    patience = sending.Patience(8, lambda _, seconds: pauses.append(seconds))
    gone = Unreachable("http://x", "gone", sent=False)
    for _ in range(7):
        patience.pause(gone)
    for pause, whole in zip(pauses, [1, 2, 4, 8, 8, 8, 8], strict=True):
        assert whole / 2 <= pause <= whole
    assert len(set(pauses[3:])) == 4
    with pytest.raises(Unreachable):
        patience.pause(gone)
    patience.renew()
    patience.pause(gone)
    assert pauses[-1] <= 1


def test_nobody_there_names_the_fix() -> None:
    with Easel("http://127.0.0.1:9") as easel, pytest.raises(Unreachable, match="is `make up` running") as caught:
        easel.get("x")
    assert caught.value.retryable


def test_a_deletion_whose_answer_was_lost_is_not_sent_twice() -> None:
    with serving(hangs_up) as server, Easel(server.url) as easel:
        with pytest.raises(Unreachable):
            easel.delete("x")
        assert len(server.seen) == 1


def test_a_cancel_whose_answer_was_lost_counts_when_the_job_is_canceled() -> None:
    canceled = {**JOB, "state": "canceled"}
    with serving(hangs_up, problem(409, "wrong_state"), says(canceled)) as server, Easel(server.url) as easel:
        assert easel.cancel("x").state == "canceled"


def test_a_finish_that_comes_after_a_cancel_is_refused() -> None:
    canceled = says({**JOB, "state": "canceled"})
    with serving(problem(409, "wrong_state"), canceled) as server, Easel(server.url) as easel:
        with pytest.raises(ApiError, match="wrong_state"):
            easel.finish("x")
        assert [method for method, *_ in server.seen] == ["POST", "GET"]


def test_the_client_and_the_command_line_load_no_server_and_no_tensors() -> None:
    heavy = ("flask", "redis", "celery", "boto3", "tensorflow", "keras", "PIL", "numpy", "spectree", "structlog")
    code = f"import sys, api.client, api.cli; print([m for m in {heavy} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
