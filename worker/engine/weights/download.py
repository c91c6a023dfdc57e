"""Download of one file over HTTP with timeouts; `keras.utils.get_file` hangs when the network is dead."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Final

import httpx2

from shared.errors import WeightsUnavailable

TIMEOUT_SECONDS: Final = 8.0
"""For the response's headers, and between two chunks of its body."""

_CHUNK_BYTES: Final = 1 << 18
_ERRORS: Final = (OSError, httpx2.HTTPError, httpx2.InvalidURL, ImportError, ValueError)
"""The last three come from proxy settings that cannot be used."""


def download(
    url: str, path: Path, *, progress: Callable[[float], None], timeout_seconds: float = TIMEOUT_SECONDS
) -> None:
    """Download `url` to `path` and report the fraction done (0 to 1) to `progress`.

    Proxies are taken from the environment. Raises WeightsUnavailable if the server cannot be reached, reports an
    error, sends nothing for `timeout_seconds`, or closes the connection early.
    """
    try:
        with (
            httpx2.Client(timeout=timeout_seconds, follow_redirects=True) as client,
            closing(_open(client, url, timeout_seconds)) as response,
        ):
            response.raise_for_status()
            _save(response, path, progress)
    except _ERRORS as error:
        raise WeightsUnavailable(
            f"The download from {httpx2.URL(url).host} failed ({error}); connect this machine, set EASEL_WEIGHTS to "
            "the path of a VGG19 no-top .h5, or use `calibrated`, which needs no network."
        ) from error


def _open(client: httpx2.Client, url: str, timeout_seconds: float) -> httpx2.Response:
    """Return the response as soon as its headers are there. Raises TimeoutError.

    The request runs in a daemon thread because no timeout of httpx2 covers the name lookup.
    """
    response: Future[httpx2.Response] = Future()

    def send() -> None:
        try:
            response.set_result(client.send(client.build_request("GET", url), stream=True))
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            response.set_exception(error)

    Thread(target=send, daemon=True, name="download").start()
    try:
        return response.result(timeout_seconds)
    except TimeoutError as error:
        response.add_done_callback(_close)
        raise TimeoutError(f"no response within {timeout_seconds:g} s") from error


def _close(late: Future[httpx2.Response]) -> None:
    if late.exception() is None:
        late.result().close()


def _save(response: httpx2.Response, path: Path, progress: Callable[[float], None]) -> None:
    total = int(response.headers.get("Content-Length") or 0)
    with path.open("wb") as file:
        for chunk in response.iter_bytes(_CHUNK_BYTES):
            file.write(chunk)
            progress(response.num_bytes_downloaded / total if total else 0.0)
