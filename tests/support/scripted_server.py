"""An HTTP server on a real socket that responds to each request as the test defines."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

JOB: dict[str, Any] = {
    "id": "0199c0de-0000-7000-8000-000000000001",
    "state": "running",
    "tier": "standard",
    "recipe": {"preset": "fast", "size": 256},
    "created_at": "2026-11-22T14:00:00Z",
    "progress": {"phase": "128 px", "current": 3, "total": 60, "percentage": 2.5},
    "a_later_field": 1,
}
QUEUE: dict[str, Any] = {"tiers": [], "running": [JOB], "workers": [], "completed_last_hour": 1}
Responder = Callable[["Handler"], None]
Event = tuple[str, str, Any]
"""Id, kind and data."""


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Handler(BaseHTTPRequestHandler):
    """Responds to the n-th request with the n-th of the server's responders; the last one repeats."""

    protocol_version = "HTTP/1.1"

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        responders: list[Responder] = self.server.responders  # type: ignore[attr-defined]  # set by `serve`
        self.server.requests.append(  # type: ignore[attr-defined]  # the same
            Request(self.command, self.path, dict(self.headers), body)
        )
        (responders.pop(0) if len(responders) > 1 else responders[0])(self)

    do_GET = do_POST = do_DELETE = _respond  # noqa: N815 - http.server's naming

    def log_message(self, *_: Any) -> None:
        pass


class ScriptedServer:
    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port = server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.requests: list[Request] = []
        server.requests = self.requests  # type: ignore[attr-defined]  # for the handler


@contextmanager
def serve(*responders: Responder, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.responders = list(responders)  # type: ignore[attr-defined]  # for the handler
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            server.socket.listen(64)  # a few dozen may connect at the same time
            yield ScriptedServer(server)
        finally:
            server.shutdown()
            thread.join()


def reply(body: Any, status: int = 200, **headers: str) -> Responder:
    def respond(handler: Handler) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return respond


def problem(status: int, code: str, *, retryable: bool = False, **headers: str) -> Responder:
    body = {"type": "about:blank", "title": code, "status": status, "detail": "Do so.", "code": code, "errors": [1]}
    return reply({**body, "retryable": retryable}, status, **headers)


def disconnect(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.close()


def event_stream(text: str) -> Responder:
    """Return a responder that sends the text as server-sent events and closes the connection."""

    def respond(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(text.encode())

    return respond


def broken_stream(text: str) -> Responder:
    """Return a responder that sends the text and then breaks the connection in the middle of a chunk."""

    def respond(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        data = text.encode()
        handler.wfile.write(f"{len(data) + 99:x}\r\n".encode() + data)
        handler.close_connection = True

    return respond


def format_events(*events: Event) -> str:
    return "".join(f"id: {eid}\nevent: {kind}\ndata: {json.dumps(data)}\n\n" for eid, kind, data in events)


def state_event(event_id: str, state: str) -> Event:
    return event_id, "state", {"state": state, "at": "2026-11-22T14:00:02.125Z"}


def progress_event(event_id: str) -> Event:
    losses = {"total": 6.5, "style": 3.0, "content": 2.5, "total_variation": 1.0}
    return event_id, "progress", {"progress": JOB["progress"], "losses": losses, "steps_per_second": None}
