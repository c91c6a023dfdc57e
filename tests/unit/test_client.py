"""The client's requests, answers and second attempts, over a real socket to a server of a few lines."""

import subprocess
import sys
from pathlib import Path

import pytest
from fixtures_client import Connect
from tiny_server import JOB, Answer, hangs_up, problem, says, serving, sse, streams

from api.client import (
    ApiError,
    BadInput,
    Conflict,
    Forbidden,
    NotFound,
    TooMany,
    Unauthorized,
    Unavailable,
    Unreachable,
    sending,
)
from api.client.refusals import family
from shared import errors

pytestmark = pytest.mark.usefixtures("short_pauses")


# Asking and reading.


def test_a_submission_carries_the_images_the_recipe_and_a_key_of_its_own(connect: Connect) -> None:
    with serving(says(JOB, 202)) as server, connect(server.url, "secret") as easel:
        job = easel.submit(b"photo", [b"one", b"two"], {"steps": 5}, tier="batch")
    method, path, headers, body = server.seen[0]
    assert (method, path, headers["Authorization"]) == ("POST", "/v1/jobs", "Bearer secret")
    assert len(headers["Idempotency-Key"]) == 36
    assert body.count(b'name="style"') == 2
    assert body.count(b'name="content"') == 1
    assert b'{"steps": 5}' in body
    assert b"batch" in body
    assert (job.id, job.state, job.progress.total, job.ended) == (JOB["id"], "running", 60, False)


def test_a_preset_and_a_recipe_file_are_recipes_too(connect: Connect, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"steps": 7}')
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    with serving(says(JOB, 202)) as server, connect(server.url) as easel:
        easel.submit(tmp_path / "photo.jpg", b"style", "fast")
        easel.submit(str(tmp_path / "photo.jpg"), b"style", file)
    assert b'{"preset": "fast"}' in server.seen[0][3]
    assert b'filename="photo.jpg"' in server.seen[1][3]
    assert b'{"steps": 7}' in server.seen[1][3]


def test_a_recipe_file_that_is_no_json_object_is_refused_before_it_is_sent(connect: Connect, tmp_path: Path) -> None:
    for text in ("{", "[1]", "5"):
        (tmp_path / "bad.json").write_text(text)
        with connect("http://127.0.0.1:9") as easel, pytest.raises(ApiError, match="not a JSON object") as caught:
            easel.submit(b"photo", b"style", tmp_path / "bad.json")
        assert (caught.value.code, caught.value.status) == ("invalid_recipe", 0)


def test_a_list_turns_the_pages_as_it_is_read(connect: Connect) -> None:
    first = says({"jobs": [JOB, JOB], "next_cursor": "abc"})
    with serving(first, says({"jobs": [JOB], "next_cursor": None})) as server, connect(server.url) as easel:
        jobs = easel.list("running", page=2)
        next(jobs)
        assert len(server.seen) == 1
        assert len(list(jobs)) == 2
    assert [path for _, path, _, _ in server.seen] == [
        "/v1/jobs?limit=2&state=running",
        "/v1/jobs?limit=2&state=running&cursor=abc",
    ]


def test_previews_and_the_timelapse_are_the_jobs_own(connect: Connect) -> None:
    strip = {"previews": [{"step": 3, "at": "2026-11-22T14:00:02Z", "url": "/v1/jobs/x/previews/3"}]}
    with serving(says(JOB), says(strip), says(b"three"), says(b"now"), says(b"film")) as server:
        with connect(server.url) as easel:
            job = easel.get("x")
            [preview] = job.previews()
            assert (job.preview(preview.step), job.preview(), job.timelapse()) == (b"three", b"now", b"film")
        paths = [path.removeprefix(f"/v1/jobs/{JOB['id']}/") for _, path, _, _ in server.seen[1:]]
    assert paths == ["previews", "previews/3", "preview", "timelapse"]


def test_an_id_cannot_reach_beyond_its_place_in_the_path(connect: Connect) -> None:
    with serving(problem(404, "invalid_job_id")) as server, connect(server.url) as easel:
        with pytest.raises(ApiError, match="invalid_job_id"):
            easel.get("../queue?x=")
        assert server.seen[0][1] == "/v1/jobs/..%2Fqueue%3Fx%3D"


def test_a_stranger_on_the_port_is_recognised(connect: Connect) -> None:
    with serving(says(b"<html>")) as server, connect(server.url) as easel:
        for ask in (easel.queue, easel.recipes, lambda: easel.get("x")):
            with pytest.raises(ApiError, match="not_easel"):
                ask()


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://", "http://x:port"])
def test_an_address_of_another_kind_is_refused(connect: Connect, url: str) -> None:
    with pytest.raises(BadInput, match="bad_url"), connect(url):
        pass


# Errors and second attempts.


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
        assert len(server.seen) == sending.ATTEMPTS


def test_the_service_may_name_the_time_of_the_next_attempt(connect: Connect, pauses: list[float]) -> None:
    full = problem(429, "queue_full", retryable=True, Retry_After="7")
    with serving(full, says(JOB, 202)) as server, connect(server.url) as easel:
        easel.submit(b"photo", b"style")
    assert pauses == [7]


@pytest.mark.parametrize(("asked", "least"), [("Tue, 24 Nov 2099 10:00:00 GMT", 1e9), ("soon", 0), ("-5", 0)])
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
    monkeypatch.setattr(sending, "FIRST_PAUSE", 1.0)
    told: list[float] = []
    patience = sending.Patience(8, lambda _, seconds: told.append(seconds))
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


# The tree of errors.

BRANCHES = [
    (errors.Unauthorized, Unauthorized),
    (errors.Forbidden, Forbidden),
    (errors.NotFound, NotFound),
    (errors.NotReady, Conflict),
    (errors.WrongState, Conflict),
    (errors.QueueFull, TooMany),
    (errors.Unavailable, Unavailable),
]


@pytest.mark.parametrize(("served", "met"), BRANCHES)
def test_each_branch_of_the_services_errors_arrives_as_one_of_the_clients(
    served: type[errors.EaselError], met: type[ApiError]
) -> None:
    for cause in (served, *served.__subclasses__()):
        assert family(cause.status) in {met, TooMany}, cause


def test_bad_input_arrives_as_such_or_as_nothing_found() -> None:
    for cause in errors.BadInput.__subclasses__():
        assert family(cause.status) is (NotFound if cause is errors.InvalidJobId else BadInput)


# What an installed client needs.

SERVER_PARTS = (
    "boto3", "celery", "flask", "gunicorn", "itsdangerous", "keras", "numpy", "PIL", "prometheus_client",
    "pydantic_settings", "redis", "structlog", "tensorflow", "textual_image", "uuid_utils",
)  # fmt: skip

WITHOUT_SERVER = """
import asyncio, sys
sys.modules.update(dict.fromkeys({parts}))  # importing any of them fails from now on
from api.client import AsyncEasel, Easel
from api.cli import app
from typer.testing import CliRunner

async def story():
    async with AsyncEasel({url!r}) as easel:
        return [event.id async for event in (await easel.get("x")).events()]

assert asyncio.run(story()) == ["1-0"]
with Easel({url!r}) as easel:
    assert easel.submit(b"photo", b"style").state == "running"
assert CliRunner().invoke(app, ["--url", {url!r}, "status", "x"]).exit_code == 0
"""


def test_the_client_and_the_command_line_work_where_no_server_is_installed() -> None:
    story = streams(sse(("1-0", "state", {"state": "succeeded"})))
    with serving(says(JOB), story, says(JOB)) as server:
        code = WITHOUT_SERVER.format(parts=SERVER_PARTS, url=server.url)
        subprocess.run([sys.executable, "-c", code], check=True)
