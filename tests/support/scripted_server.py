"""A server of a few lines that answers each request as the test says, over a real socket."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JOB: dict[str, Any] = {
    "id": "0199c0de-0000-7000-8000-000000000001",
    "state": "running",
    "tier": "standard",
    "recipe": {"preset": "fast", "size": 256},
    "created_at": "2026-11-22T14:00:00Z",
    "progress": {"phase": "128 px", "current": 3, "total": 60, "percentage": 2.5},
    "a_field_of_next_year": 1,
}
QUEUE: dict[str, Any] = {"tiers": [], "running": [JOB], "workers": [], "completed_last_hour": 1}
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers the n-th request with the n-th of the server's answers; the last one repeats."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answers: list[Answer] = self.server.answers  # type: ignore[attr-defined]  # set by `serving`
        self.server.seen.append((self.command, self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - http.server's naming

    def log_message(self, *_: Any) -> None:
        pass


class Serving:
    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port = server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        server.seen = self.seen  # type: ignore[attr-defined]  # for the handler


@contextmanager
def serving(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Serving]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.answers = list(answers)  # type: ignore[attr-defined]  # for the handler
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            server.socket.listen(64)  # a few dozen may come at once
            yield Serving(server)
        finally:
            server.shutdown()
            thread.join()


def says(body: Any, status: int = 200, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def problem(status: int, code: str, *, retryable: bool = False, **headers: str) -> Answer:
    body = {"type": "about:blank", "title": code, "status": status, "detail": "Do so.", "code": code, "errors": [1]}
    return says({**body, "retryable": retryable}, status, **headers)


def hangs_up(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.close()


def streams(text: str) -> Answer:
    """The text as server-sent events, then the end of the connection."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(text.encode())

    return answer


def cut_off(text: str) -> Answer:
    """The text, and then a connection that breaks in the middle of a chunk."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        data = text.encode()
        handler.wfile.write(f"{len(data) + 99:x}\r\n".encode() + data)
        handler.close_connection = True

    return answer


def sse(*events: tuple[str, str, Any]) -> str:
    return "".join(f"id: {eid}\nevent: {kind}\ndata: {json.dumps(data)}\n\n" for eid, kind, data in events)
