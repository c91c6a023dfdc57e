"""The `easel` command against a scripted server."""

import signal
from typing import Any

from typer.testing import CliRunner, Result

from easel.cli import app
from support.scripted_server import JOB, Request, Responder, event_stream, format_events, reply, serve, state_event

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
SUCCEEDED_STREAM = event_stream(format_events(state_event("1-0", "succeeded")))


def run_easel(*arguments: str, responders: tuple[Responder, ...] = ()) -> tuple[Result, list[Request]]:
    with serve(*responders or (reply(JOB),)) as server:
        return CliRunner().invoke(app, ["--url", server.url, *arguments]), server.requests


def accept_interrupts() -> None:
    """Let a new process accept SIGINT, for `preexec_fn`: it inherits from a shell's background job to ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
