"""The client's requests and answers, over a real socket to a server of a few lines."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.fixtures.client import Connect
from support.scripted_server import JOB, problem, says, serving, sse, streams

from easel import ApiError, BadInput, Conflict, Forbidden, NotFound, TooMany, Unauthorized, Unavailable
from easel.errors import family
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
from easel import AsyncEasel, Easel
from easel.cli import app
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
