"""The `easel` command against a server of a few lines."""

from typing import Any

from typer.testing import CliRunner, Result

from easel.cli import app
from support.scripted_server import JOB, Answer, says, serving, sse, streams

SUCCEEDED: dict[str, Any] = {
    **JOB,
    "state": "succeeded",
    "started_at": "2026-11-22T14:00:02Z",
    "completed_at": "2026-11-22T14:01:12Z",
    "progress": {"phase": "done", "current": 60, "total": 60, "percentage": 100},
    "losses": {"total": 6.0, "style": 3.0, "content": 2.0, "total_variation": 1.0},
    "metrics": {"queue_seconds": 2, "run_seconds": 70, "steps_per_second": 0.86},
    "urls": {"self": "/v1/jobs/x", "result": "/v1/jobs/x/result", "preview": None},
}
FAILED = {**SUCCEEDED, "state": "failed", "error": {"code": "diverged", "detail": "Lower the weights."}}
ENDS = streams(sse(("1-0", "state", {"state": "succeeded"})))


def easel(*arguments: str, answers: tuple[Answer, ...] = ()) -> tuple[Result, list[tuple[str, str, Any, bytes]]]:
    with serving(*answers or (says(JOB),)) as server:
        return CliRunner().invoke(app, ["--url", server.url, *arguments]), server.seen
