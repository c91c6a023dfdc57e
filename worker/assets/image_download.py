"""Downloads an image from a URL that a user chose."""

import time
from typing import Final

import httpx2

from easel import __version__
from shared.errors import ImageFetchFailed
from shared.inputs.sources import image_url_problem
from shared.settings import Settings
from worker.outbound_http import OutboundClient, OutboundResponse, RequestFailed, ResponseTooLargeError

_MAX_REDIRECTS: Final = 3
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_HEADERS: Final = {"user-agent": f"Easel/{__version__}", "accept": "image/*", "accept-encoding": "identity"}


class ImageDownload:
    """Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._private, self._seconds = settings.fetch_private, settings.fetch_seconds
        self._client = OutboundClient(
            private=settings.fetch_private,
            seconds=self._seconds,
            setting="EASEL_FETCH_PRIVATE",
            peer="image's server",
        )

    def get(self, address: str, max_bytes: int) -> bytes:
        """Return the file. Redirects are followed under the same rules, within one time limit.

        Raises ImageFetchFailed, `transient` if another attempt may succeed.
        """
        url, deadline = httpx2.URL(address), time.monotonic() + self._seconds
        for _ in range(1 + _MAX_REDIRECTS):
            response = self._send(url, max_bytes, deadline)
            location = response.headers.get("location")
            if not (300 <= response.status < 400 and location):  # noqa: PLR2004 - HTTP's redirections
                return _body(response, url.host)
            url = self._target(url, location)
        raise ImageFetchFailed(f"{url.host} redirects more than {_MAX_REDIRECTS} times.")

    def _send(self, url: httpx2.URL, max_bytes: int, deadline: float) -> OutboundResponse:
        try:
            return self._client.send("GET", url, _HEADERS, max_bytes=max_bytes, deadline=deadline)
        except RequestFailed as error:
            raise ImageFetchFailed(str(error), transient=True) from error
        except ResponseTooLargeError as error:
            raise file_too_large(url) from error

    def _target(self, url: httpx2.URL, location: str) -> httpx2.URL:
        try:
            target = url.join(location)
        except httpx2.InvalidURL as error:
            raise ImageFetchFailed(f"{url.host} redirects to a URL that cannot be parsed.") from error
        if problem := image_url_problem(str(target), private=self._private):
            raise ImageFetchFailed(f"{url.host} redirects. {problem}")
        return target


def file_too_large(url: httpx2.URL) -> ImageFetchFailed:
    """Return the error for a file that is larger than what the other images of its job leave."""
    return ImageFetchFailed(
        f"The file of {url.host} is too large. The images of a job may have EASEL_MAX_BODY_BYTES together."
    )


def _body(response: OutboundResponse, host: str) -> bytes:
    if 200 <= response.status < 300:  # noqa: PLR2004 - HTTP's successes
        return response.body
    raise ImageFetchFailed(f"{host} responded {response.status}.", transient=response.status in _TRANSIENT)
