"""`python -m api`: serves the API with gunicorn, in one process with many threads."""

import logging
import socket
import struct
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from flask import Flask
from gunicorn import util
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from api import wsgi
from api.http.auth import check_exposure
from shared.errors import StorageUnavailable
from shared.logging import configure_logging, exit_with_error
from shared.services import open_services
from shared.settings import InvalidSettings, Settings
from shared.tracing import stop_tracing

GRACE_SECONDS = 10
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})

log = structlog.get_logger(__name__)


class StreamingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A threaded worker that ends its streams on shutdown, and closes connections to stalled clients.

    gunicorn waits for open requests, but streams do not end by themselves. It also waits without a limit for a
    body that does not arrive, and for a client that does not read.
    """

    def handle_exit(self, sig: int, frame: Any) -> None:
        """End all streams on SIGTERM."""
        self.wsgi.extensions["easel"].stopping.set()
        super().handle_exit(sig, frame)

    def handle(self, conn: Any) -> Any:
        """Handle one request in a thread of the pool."""
        structlog.contextvars.clear_contextvars()  # of the thread's last request
        if not conn.initialized:  # the first on this connection
            _set_timeouts(conn.sock, self.wsgi.extensions["easel"].settings.stall_seconds)
        keep_alive = super().handle(conn)
        if not keep_alive:
            _close(conn.sock)
        return keep_alive


class GunicornLogger(Logger):  # type: ignore[misc]  # the same
    """Sends gunicorn's messages to the root logger, and logs each request when its response has been sent.

    Stalled clients, health checks and scrapes of metrics are logged as debug messages.
    """

    def setup(self, cfg: Any) -> None:
        """Set up the loggers at the start."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log a failed request."""
        stalled = isinstance(sys.exc_info()[1], BlockingIOError)
        (self.debug if stalled else super().exception)(msg, *args, **kwargs)

    def access(self, resp: Any, req: Any, _environ: Any, request_time: timedelta) -> None:
        """Log a request, without its query, which may contain secrets of the client."""
        (log.debug if req.path in _PROBES else log.info)(
            "request",
            method=req.method,
            path=req.path,
            status=int(resp.status.split()[0]),
            milliseconds=round(request_time / timedelta(milliseconds=1), 1),
            bytes=resp.sent,
        )


class Server(BaseApplication):  # type: ignore[misc]  # the same
    """gunicorn without its command line."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Use threads: most requests wait for Redis, the blob store or the next event of a job."""
        options = {
            "bind": f"{_url_host(self._settings.host)}:{self._settings.port}",
            "worker_class": StreamingWorker,
            "workers": 1,
            "threads": self._settings.api_threads,
            "graceful_timeout": GRACE_SECONDS,
            "keepalive": 15,
            "when_ready": _print_address,
            "worker_exit": lambda _arbiter, _worker: stop_tracing(),
            "logger_class": GunicornLogger,
            "control_socket_disable": True,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Create the app in the worker process, after the fork."""
        return wsgi.app(self._settings)


def main() -> None:
    """Read the settings, refuse unsafe ones, and serve."""
    try:
        settings = Settings()
        open_services(settings)  # for its errors, which gunicorn would log as tracebacks; the child opens its own
        check_exposure(settings)
    except InvalidSettings as error:
        exit_with_error(str(error))
    except StorageUnavailable as error:
        exit_with_error(error.detail, code=error.code)
    configure_logging(settings)
    Server(settings).run()


def _set_timeouts(connection: socket.socket, seconds: float) -> None:
    """Limit each read and write with socket options: gunicorn resets Python's own timeout."""
    limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))  # struct timeval
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, limit)


def _close(connection: socket.socket) -> None:
    """Close the connection and wait for the client in this thread: gunicorn would wait in the one that accepts."""
    with suppress(OSError):
        util.close_graceful(connection.dup())
        connection.shutdown(socket.SHUT_RDWR)


def _print_address(arbiter: Arbiter) -> None:
    host, port = arbiter.LISTENERS[0].sock.getsockname()[:2]
    print(f"Easel listens at http://{_url_host(host)}:{port}", flush=True)  # noqa: T201 - people and scripts read it


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    main()
