"""The client's requests and models, over a real socket to a scripted server."""

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlsplit

import pytest
from support.fixtures.client import Connect
from support.scripted_server import JOB, event_stream, format_events, problem, reply, serve, state_event

from easel import ApiError, BadInput, Conflict, Forbidden, NotFound, TooManyRequests, Unauthorized, Unavailable
from easel.errors import error_class
from shared import errors

pytestmark = pytest.mark.usefixtures("short_pauses")


def test_a_submission_sends_images_recipe_and_an_idempotency_key(connect: Connect) -> None:
    with serve(reply(JOB, 202)) as server, connect(server.url, "secret") as easel:
        job = easel.submit(b"photo", [b"one", b"two"], {"steps": 5}, tier="batch")
    method, path, headers, body = server.requests[0]
    assert (method, path, headers["Authorization"]) == ("POST", "/v1/jobs", "Bearer secret")
    assert len(headers["Idempotency-Key"]) == 36
    assert body.count(b'name="style"') == 2
    assert body.count(b'name="content"') == 1
    assert b'{"steps": 5}' in body
    assert b"batch" in body
    assert (job.id, job.state, job.progress.total, job.ended) == (JOB["id"], "running", 60, False)


def test_a_list_is_fetched_page_by_page(connect: Connect) -> None:
    first = reply({"jobs": [JOB, JOB], "next_cursor": "abc"})
    with serve(first, reply({"jobs": [JOB], "next_cursor": None})) as server, connect(server.url) as easel:
        jobs = easel.list("running", page=2)
        next(jobs)
        assert len(server.requests) == 1
        assert len(list(jobs)) == 2
    assert [request.path for request in server.requests] == [
        "/v1/jobs?limit=2&state=running",
        "/v1/jobs?limit=2&state=running&cursor=abc",
    ]


def test_a_list_is_filtered_by_what_is_given(connect: Connect) -> None:
    with serve(reply({"jobs": [], "next_cursor": None})) as server, connect(server.url) as easel:
        zone = timezone(timedelta(hours=2))
        filters = {"preset": "fast", "metadata": {"order": "a&b", "note": ""}}
        assert list(easel.list(**filters, created_after=datetime(2026, 11, 28, 12, tzinfo=zone))) == []
    assert parse_qsl(urlsplit(server.requests[0].path).query, keep_blank_values=True) == [
        ("limit", "50"),
        ("preset", "fast"),
        ("created_after", "2026-11-28T10:00:00+00:00"),
        ("metadata[order]", "a&b"),
        ("metadata[note]", ""),
    ]


def test_previews_and_the_timelapse_belong_to_the_job(connect: Connect) -> None:
    filmstrip = {"previews": [{"step": 3, "at": "2026-11-22T14:00:02Z", "url": "/v1/jobs/x/previews/3"}]}
    with serve(reply(JOB), reply(filmstrip), reply(b"three"), reply(b"now"), reply(b"film")) as server:
        with connect(server.url) as easel:
            job = easel.get("x")
            [preview] = job.previews()
            assert (job.preview(preview.step), job.preview(), job.timelapse()) == (b"three", b"now", b"film")
        paths = [request.path.removeprefix(f"/v1/jobs/{JOB['id']}/") for request in server.requests[1:]]
    assert paths == ["previews", "previews/3", "preview", "timelapse"]


def test_an_id_stays_one_segment_of_the_path(connect: Connect) -> None:
    with serve(problem(404, "invalid_job_id")) as server, connect(server.url) as easel:
        with pytest.raises(ApiError, match="invalid_job_id"):
            easel.get("../queue?x=")
        assert server.requests[0].path == "/v1/jobs/..%2Fqueue%3Fx%3D"


def test_another_service_on_the_port_is_an_error(connect: Connect) -> None:
    with serve(reply(b"<html>")) as server, connect(server.url) as easel:
        for request in (easel.queue, easel.recipes, lambda: easel.get("x")):
            with pytest.raises(ApiError, match="not_easel"):
                request()


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://", "http://x:port"])
def test_a_url_that_is_not_http_is_refused(connect: Connect, url: str) -> None:
    with pytest.raises(BadInput, match="bad_url"), connect(url):
        pass


@pytest.mark.parametrize("key", ["line\nbreak", "ümlaut"])
def test_a_key_that_no_header_can_have_is_refused(connect: Connect, key: str) -> None:
    with pytest.raises(BadInput, match="bad_key"), connect("http://127.0.0.1:1", key):
        pass


# The classes of errors.

ERROR_CLASSES = [
    (errors.Unauthorized, Unauthorized),
    (errors.Forbidden, Forbidden),
    (errors.NotFound, NotFound),
    (errors.NotReady, Conflict),
    (errors.WrongState, Conflict),
    (errors.QueueFull, TooManyRequests),
    (errors.Unavailable, Unavailable),
]


@pytest.mark.parametrize(("server_class", "client_class"), ERROR_CLASSES)
def test_the_services_errors_are_raised_as_the_clients_classes(
    server_class: type[errors.EaselError], client_class: type[ApiError]
) -> None:
    for cause in (server_class, *server_class.__subclasses__()):
        assert error_class(cause.status) in {client_class, TooManyRequests}, cause


def test_bad_input_is_raised_as_bad_input_or_not_found() -> None:
    for cause in errors.BadInput.__subclasses__():
        assert error_class(cause.status) is (NotFound if cause is errors.InvalidJobId else BadInput)


# What an installed client needs.

SERVER_PACKAGES = (
    "boto3", "celery", "flask", "gunicorn", "itsdangerous", "keras", "numpy", "PIL", "prometheus_client",
    "pydantic_settings", "redis", "structlog", "tensorflow", "textual_image", "uuid_utils",
)  # fmt: skip


WITHOUT_SERVER = """
import asyncio, sys
sys.modules.update(dict.fromkeys({packages}))  # importing any of them fails from now on
from easel import AsyncEasel, Easel
from easel.cli import app
from typer.testing import CliRunner

async def event_ids():
    async with AsyncEasel({url!r}) as easel:
        return [event.id async for event in (await easel.get("x")).events()]

assert asyncio.run(event_ids()) == ["1-0"]
with Easel({url!r}) as easel:
    assert easel.submit(b"photo", b"style").state == "running"
assert CliRunner().invoke(app, ["--url", {url!r}, "status", "x"]).exit_code == 0
"""


def test_the_client_and_the_command_need_no_package_of_the_server() -> None:
    stream = event_stream(format_events(state_event("1-0", "succeeded")))
    with serve(reply(JOB), stream, reply(JOB)) as server:
        code = WITHOUT_SERVER.format(packages=SERVER_PACKAGES, url=server.url)
        subprocess.run([sys.executable, "-c", code], check=True)
