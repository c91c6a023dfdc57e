"""Limits on the work that one API process does at the same time."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask import Response, g, request

from shared.errors import ServerBusy, TooManyStreams

MAX_FORM_PARTS: Final = 64
MAX_TEXT_BYTES: Final = 256 * 1024
"""For all form parts that are not files; a recipe takes about one kilobyte."""
_DRAIN_BODIES: Final = 4
_DRAIN_SECONDS: Final = 20
_MAX_RESERVED_THREADS: Final = 32
_UNAUTHENTICATED: Final = frozenset({401, 403})
RENDER_SLOTS: Final = threading.BoundedSemaphore(2)
"""For making thumbnails and time-lapses. Submissions do not wait for these."""


def drain_rejected_body(response: Response) -> Response:
    """Read the rest of a rejected body: many clients send all of it before they read the response.

    Stops after four times the limit, or 20 seconds. Does not wait for clients without a key, who could otherwise
    occupy all threads.
    """
    rejected = response.status_code >= 400 and response.status_code not in _UNAUTHENTICATED  # noqa: PLR2004 - HTTP's errors
    if not rejected or request.method != "POST" or not request.environ.get("wsgi.input_terminated"):
        return response
    body = request.environ["wsgi.input"]
    deadline, remaining = time.monotonic() + _DRAIN_SECONDS, _DRAIN_BODIES * (request.max_content_length or 0)
    while remaining > 0 and time.monotonic() < deadline:
        try:
            chunk = body.read(min(remaining, 64 * 1024))
        except OSError:  # the client stalls (api/__main__.py) or has gone
            break
        if not chunk:
            break
        remaining -= len(chunk)
    return response


class StreamLimits:
    """Limits requests that hold a thread for long. A quarter of the threads, at most 32, stay free for short ones."""

    def __init__(self, threads: int, per_client: int) -> None:
        self.total = max(1, threads - max(1, min(threads // 4, _MAX_RESERVED_THREADS)))
        self._per_client = per_client
        self._open: Counter[str] = Counter()  # by client; clients without streams are removed
        self._lock = threading.Lock()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Count a stream of the current client while the block runs. Raises TooManyStreams, ServerBusy."""
        client: str = g.caller.name
        with self._lock:
            if self._open[client] >= self._per_client:
                raise TooManyStreams(
                    f"You have {self._per_client} streams open. Close some, or raise EASEL_STREAMS_PER_CLIENT."
                )
            if self._open.total() >= self.total:
                raise ServerBusy(
                    f"The server has {self.total} streams open, its limit. Try again later, or raise EASEL_API_THREADS."
                )
            self._open[client] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[client] -= 1
                if not self._open[client]:
                    del self._open[client]
