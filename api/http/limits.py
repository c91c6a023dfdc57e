"""What one process of the API takes upon itself at once."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from flask import Flask, Response, g, request

from shared.errors import TooManyStreams, TooManyWatchers
from shared.settings import Settings

MAX_FORM_PARTS: Final = 64
MAX_TEXT_BYTES: Final = 256 * 1024
"""Of all parts together that are not files; a recipe takes about one kilobyte."""
_PATIENCE_BODIES: Final = 4
_PATIENCE_SECONDS: Final = 20
_FREE_THREADS: Final = 32
_STRANGERS: Final = frozenset({401, 403})
_DECODERS: Final = threading.BoundedSemaphore(2)
_RENDERERS: Final = threading.BoundedSemaphore(2)


def limit_bodies(app: Flask, settings: Settings) -> None:
    """What is larger is answered 413, most of it unread."""
    app.config.update(
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        MAX_FORM_MEMORY_SIZE=MAX_TEXT_BYTES,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
    )


def hear_out(response: Response) -> Response:
    """Take in the rest of a refused body: whoever still sends does not listen, and would never learn why.

    Not for ever: a body of many times the limit is cut off, and so is a slow one. Not of strangers: a thread that
    waits for them is a thread that anybody can take away.
    """
    refused = response.status_code >= 400 and response.status_code not in _STRANGERS and request.method == "POST"  # noqa: PLR2004 - where HTTP's errors begin
    if not refused or not request.environ.get("wsgi.input_terminated"):
        return response
    unread = request.environ["wsgi.input"]
    deadline, left = time.monotonic() + _PATIENCE_SECONDS, _PATIENCE_BODIES * (request.max_content_length or 0)
    while left > 0 and time.monotonic() < deadline:
        try:
            piece = unread.read(min(left, 64 * 1024))
        except OSError:  # the client stalls (api/__main__.py) or has gone
            break
        if not piece:
            break
        left -= len(piece)
    return response


@contextmanager
def decoding() -> Iterator[None]:
    """Held while an image is unpacked: a photo of 64 megapixels takes 200 MB, and every thread might have one."""
    with _DECODERS:
        yield


@contextmanager
def rendering() -> Iterator[None]:
    """Held while a picture is made only to be looked at. Apart from `decoding`: no submission waits for these."""
    with _RENDERERS:
        yield


class Watchers:
    """Seats for requests that hold a thread for long. A quarter of the threads, or 32, stay free for short ones."""

    def __init__(self, threads: int, each: int) -> None:
        """`each` is how many seats one client may take."""
        self.seats, self._each = max(1, threads - max(1, min(threads // 4, _FREE_THREADS))), each
        self._taken: Counter[str] = Counter()  # by client; only of those that sit
        self._changing = threading.Lock()

    def sit_down(self) -> Callable[[], None]:
        """Take a seat for whoever calls; the function that gives it back. Raises TooManyStreams, TooManyWatchers."""
        who: str = g.caller
        with self._changing:
            if self._taken[who] >= self._each:
                raise TooManyStreams(
                    f"You have {self._each} streams open; close some, or have EASEL_STREAMS_PER_CLIENT raised."
                )
            if self._taken.total() >= self.seats:
                raise TooManyWatchers(
                    f"{self.seats} streams are open, and no more fit in; ask again later, or raise EASEL_API_THREADS."
                )
            self._taken[who] += 1
        return lambda: self._get_up(who)

    @contextmanager
    def seat(self) -> Iterator[None]:
        """For as long as the block lasts. Raises TooManyStreams, TooManyWatchers."""
        leave = self.sit_down()
        try:
            yield
        finally:
            leave()

    def _get_up(self, who: str) -> None:
        with self._changing:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]
