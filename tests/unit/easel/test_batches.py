"""Batches in the client, over a real socket to a scripted server."""

import io
import json
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console
from support.fixtures.client import Connect
from support.scripted_server import problem, reply, serve

from easel import BadInput, Conflict
from easel.terminal import batch_progress
from easel.terminal.batch_progress import watch_batch

pytestmark = pytest.mark.usefixtures("short_pauses")

BATCH: Final[dict[str, Any]] = {
    "id": "b",
    "created_at": "2026-11-28T12:00:00Z",
    "counts": {"queued": 1, "running": 1},
    "progress": 0.25,
    "jobs": ["x", "y"],
}
ENDED: Final = {**BATCH, "counts": {"succeeded": 2}, "progress": 1.0, "completed_at": "2026-11-28T12:01:00Z"}


def uploaded(name: str) -> dict[str, Any]:
    return {"id": f"sha256:{name}", "width": 9, "height": 9, "expires_at": "2026-11-28T12:00:00Z"}


def test_files_are_uploaded_once_and_jobs_refer_to_them(connect: Connect, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"photo")
    replies = [reply(uploaded(name), 201) for name in ("photo", "style")]
    with serve(*replies, reply(BATCH, 202)) as server, connect(server.url) as easel:
        jobs = [{"styles": [b"style"], "recipe": "fast"}, {"styles": b"style"}, {"styles": "https://example.com/a.jpg"}]
        batch = easel.submit_batch(jobs, {"content": str(photo), "recipe": {"size": 96}})
    method, path, headers, body = server.requests[-1]
    assert (method, path, len(server.requests)) == ("POST", "/v1/batches", 3)
    assert len(headers["Idempotency-Key"]) == 36
    assert json.loads(body) == {
        "defaults": {"content": "sha256:photo", "recipe": {"size": 96}},
        "jobs": [
            {"styles": ["sha256:style"], "recipe": {"preset": "fast"}},
            {"styles": ["sha256:style"]},
            {"styles": ["https://example.com/a.jpg"]},
        ],
    }
    assert (batch.id, batch.ended, batch.status.counts.running) == ("b", False, 1)


def test_a_file_that_is_no_image_is_named(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"text")
    with (
        serve(problem(422, "not_an_image")) as server,
        connect(server.url) as easel,
        pytest.raises(BadInput, match=r"notes\.txt"),
    ):
        easel.submit_batch([{"content": str(tmp_path / "notes.txt")}])


def test_waiting_ends_with_the_batch_or_with_the_time(connect: Connect) -> None:
    with serve(reply(BATCH), reply(BATCH), reply(ENDED)) as server, connect(server.url) as easel:
        batch = easel.get_batch("b")
        with pytest.raises(TimeoutError, match="its jobs keep running"):
            batch.wait(timeout=0)
        assert batch.wait().ended
    assert {request.path for request in server.requests} == {"/v1/batches/b"}


def test_a_watched_batch_is_fetched_once_for_each_status_that_is_shown(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_progress, "_POLL_SECONDS", 0.2)
    half_done = {**BATCH, "counts": {"succeeded": 1, "running": 1}, "progress": 0.5}
    output = io.StringIO()
    with serve(reply(BATCH), reply(half_done), reply(ENDED)) as server, connect(server.url) as easel:
        watch_batch(easel.get_batch("b"), Console(file=output, width=100))
    assert output.getvalue().splitlines() == [
        "b  25%, 0 of 2 done, 1 running, 1 queued",
        "b  50%, 1 of 2 done, 1 running",
        "b  100%, 2 of 2 done",
    ]
    assert len(server.requests) == 3


def test_the_contact_sheet_is_awaited_only_once_all_jobs_have_ended(connect: Connect) -> None:
    waiting = problem(409, "not_ready", Retry_After="0")
    replies = reply(BATCH), waiting, reply(BATCH), waiting, reply(ENDED), reply(b"image")
    with serve(*replies) as server, connect(server.url) as easel:
        batch = easel.get_batch("b")
        with pytest.raises(Conflict):
            batch.contact_sheet()
        assert batch.contact_sheet("jpeg") == b"image"
    assert server.requests[-1].path == "/v1/batches/b/contact-sheet?format=jpeg&quality=90"


def test_a_batch_is_canceled_and_deleted(connect: Connect) -> None:
    with serve(reply(BATCH), reply(ENDED, 202), reply(b"", 204)) as server, connect(server.url) as easel:
        batch = easel.get_batch("b")
        assert batch.cancel().ended
        batch.delete()
    assert [(one.method, one.path) for one in server.requests[1:]] == [
        ("POST", "/v1/batches/b/cancel"),
        ("DELETE", "/v1/batches/b"),
    ]
