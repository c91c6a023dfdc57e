"""One file over HTTP, with a bound on every silence: `keras.utils.get_file` waits for ever on a dead network."""

from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, cast
from urllib.parse import urlsplit
from urllib.request import urlopen

from shared.errors import WeightsUnavailable

SILENCE: Final = 8.0
"""Seconds without an answer, or between two chunks, after which the network counts as absent."""

_CHUNK: Final = 1 << 18


def download(url: str, path: Path, *, progress: Callable[[float], None], silence: float = SILENCE) -> None:
    """Write what `url` holds to `path`, telling `progress` the share done (0 to 1).

    Raises WeightsUnavailable when the network is absent, silent for `silence` seconds, or breaks off.
    """
    try:
        with _opened(url, silence) as response:
            _copy(response, path, progress)
    except (OSError, HTTPException) as error:
        raise WeightsUnavailable(
            f"{urlsplit(url).netloc} cannot be reached or broke off ({error}); connect this machine, set EASEL_WEIGHTS "
            "to a VGG19 no-top .h5 that you copied here, or use `calibrated`, which needs no network."
        ) from error


def _opened(url: str, silence: float) -> HTTPResponse:
    """The response, or TimeoutError: in a thread, because no timeout of urllib's covers looking the name up."""
    answer: SimpleQueue[HTTPResponse | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answer.put(cast("HTTPResponse", urlopen(url, timeout=silence)))  # noqa: S310 - only constants come here
        except Exception as error:  # noqa: BLE001 - handed to the caller, whatever it is
            answer.put(error)

    Thread(target=ask, daemon=True, name="download").start()
    try:
        got = answer.get(timeout=silence)
    except Empty:
        raise TimeoutError(f"no answer within {silence:g} s") from None
    if isinstance(got, Exception):
        raise got
    return got


def _copy(response: HTTPResponse, path: Path, progress: Callable[[float], None]) -> None:
    total = int(response.headers.get("Content-Length") or 0)
    with path.open("wb") as file:
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            progress(file.tell() / total if total else 0.0)
    if total and path.stat().st_size < total:
        raise ConnectionError(f"only {path.stat().st_size} of {total} bytes came")
