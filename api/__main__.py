"""`python -m api`: the API under gunicorn, one process of many threads, until it is told to stop."""

import logging
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

from flask import Flask
from gunicorn import util
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from api import wsgi
from api.http.auth import check_exposure
from shared.logging import configure_logging
from shared.settings import Settings

GRACE_SECONDS = 10


class StreamingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A worker whose threads come back: from streams when it is told to stop, and from clients that stall.

    gunicorn itself waits for open requests, and streams do not end; it also waits for ever for a body that was
    announced and never comes, and for a reader that takes nothing.
    """

    def handle_exit(self, sig: int, frame: Any) -> None:
        """On SIGTERM."""
        self.wsgi.extensions["easel"].stopping.set()
        super().handle_exit(sig, frame)

    def handle(self, conn: Any) -> Any:
        """One request, in a thread of its own."""
        if not conn.initialized:  # the first on this connection
            _limit_waiting(conn.sock, self.wsgi.extensions["easel"].settings.stall_seconds)
        stays = super().handle(conn)
        if not stays:
            _hang_up(conn.sock)
        return stays


class SharedLog(Logger):  # type: ignore[misc]  # the same
    """Hands gunicorn's lines to the log of everything else, but for clients that stall: they are no fault of ours."""

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn at the start."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Called by gunicorn where a request came to nothing."""
        stalled = isinstance(sys.exc_info()[1], BlockingIOError)
        (self.debug if stalled else super().exception)(msg, *args, **kwargs)


class Server(BaseApplication):  # type: ignore[misc]  # the same
    """gunicorn without its command line."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Threads, since most requests wait: for Redis, for the store, or for a job's next event."""
        options = {
            "bind": f"{_bracketed(self._settings.host)}:{self._settings.port}",
            "worker_class": StreamingWorker,
            "workers": 1,
            "threads": self._settings.api_threads,
            "graceful_timeout": GRACE_SECONDS,
            "keepalive": 15,
            "when_ready": _say_where,
            "logger_class": SharedLog,
            "control_socket_disable": True,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called in the process that serves, after the fork."""
        return wsgi.app(self._settings)


def main() -> None:
    """Read the environment, refuse what is dangerous, serve."""
    try:
        settings = Settings()
        check_exposure(settings)
    except ValueError as error:  # pydantic's own are among them
        sys.exit(f"easel: {error}")
    configure_logging(settings)
    Server(settings).run()


def _limit_waiting(connection: socket.socket, seconds: float) -> None:
    """For each read and write. As options of the socket, since gunicorn sets Python's own timeout back to none."""
    limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))  # struct timeval
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, limit)


def _hang_up(connection: socket.socket) -> None:
    """Linger here for a client that does not hang up: gunicorn would do so in the one thread that accepts."""
    with suppress(OSError):
        util.close_graceful(connection.dup())
        connection.shutdown(socket.SHUT_RDWR)


def _say_where(arbiter: Arbiter) -> None:
    host, port = arbiter.LISTENERS[0].sock.getsockname()[:2]
    print(f"Easel listens at http://{_bracketed(host)}:{port}", flush=True)  # noqa: T201 - people and scripts read it


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    main()
