"""One request and one stream over HTTP, sent again where that may help. The client's only place with a socket."""

import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx2

from api.answers import ApiError, Event, Unreachable, refusal

ATTEMPTS: Final = 5  # about three seconds of pauses, where the service does not ask for longer ones
STREAM_ATTEMPTS: Final = 12  # about forty: the service may restart while someone watches
FIRST_PAUSE = 0.25  # seconds, as are all below
LONGEST_PAUSE = 8.0
PATIENCE: Final = 45.0  # all pauses of one request together
RECONNECT_PAUSE = 1.0
_SILENCE: Final = 60.0  # a stream says something, if only a comment, more often than this
_CONNECT_TIMEOUT: Final = 5.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


OnRetry = Callable[[ApiError, float], None]
"""Told of each trouble that is met by another attempt, and after how many seconds."""


class Patience:
    """The pauses between attempts: longer each time, and never in step with other clients."""

    def __init__(self, attempts: int, on_retry: OnRetry | None) -> None:
        self._attempts, self._on_retry = attempts, on_retry
        self.renew()

    def renew(self) -> None:
        """It went well: begin anew."""
        self._failures, self._spent = 0, 0.0

    def pause(self, trouble: ApiError) -> None:
        """Wait before the next attempt. Raises `trouble` where another one cannot help, or has not helped for long."""
        self._failures += 1
        backoff = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._failures - 1))
        seconds = max(trouble.retry_after, backoff * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
        self._spent += seconds
        # A 409 speaks of the job, not of the service: only the job's own progress changes it.
        passing = trouble.retryable and trouble.status != httpx2.codes.CONFLICT
        if not passing or self._failures >= self._attempts or self._spent > PATIENCE:
            raise trouble
        if self._on_retry:
            self._on_retry(trouble, seconds)
        time.sleep(seconds)


class Sender:
    """A pool of connections to the service at `url`. What it raises is ApiError; Unreachable where nobody answers."""

    def __init__(self, url: str, api_key: str | None, timeout: float, on_retry: OnRetry | None = None) -> None:
        self._on_retry = on_retry
        self.url = url.rstrip("/")
        host = _host(self.url)
        self._timeout = timeout
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            # A proxy of the environment cannot know this machine's own loopback.
            trust_env=host not in _LOOPBACK,
        )

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def patience(self, attempts: int) -> Patience:
        """For something that is worth so many attempts."""
        return Patience(attempts, self._on_retry)

    def send(
        self, method: str, path: str, *, harmless: bool = True, hold: float = 0.0, **request: Any
    ) -> httpx2.Response:
        """The response, if it is below 400, after several attempts where they may help.

        A request that is not `harmless` is sent again only where it surely was not carried out.
        `hold` is how many seconds the service was asked to keep the answer back.
        """
        patience = self.patience(ATTEMPTS)
        while True:
            try:
                return self.send_once(method, path, hold=hold, **request)
            except ApiError as trouble:
                if not harmless and isinstance(trouble, Unreachable) and trouble.sent:
                    raise
                patience.pause(trouble)

    def send_once(self, method: str, path: str, *, hold: float = 0.0, **request: Any) -> httpx2.Response:
        """The response of a single attempt, if it is below 400."""
        timeout = httpx2.Timeout(self._timeout + hold, connect=min(self._timeout, _CONNECT_TIMEOUT))
        try:
            response = self._http.request(method, path, timeout=timeout, **request)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        if response.status_code >= httpx2.codes.BAD_REQUEST:
            raise refusal(response)
        return response

    def stream(self, path: str, after: str | None) -> Iterator[Event]:
        """What one connection brings of a stream of server-sent events (WHATWG HTML, section 9.2)."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        timeout = httpx2.Timeout(_SILENCE, connect=min(self._timeout, _CONNECT_TIMEOUT))
        try:
            with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
                if response.status_code >= httpx2.codes.BAD_REQUEST:
                    response.read()
                    raise refusal(response)
                if response.status_code == httpx2.codes.NO_CONTENT:  # the job has ended and all was told
                    return
                yield from read_events(response)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx2.TransportError) -> Unreachable:
        reason = str(error) or type(error).__name__
        return Unreachable(self.url, reason, sent=not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout))


def _host(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ApiError(f"{url!r} is no address: {error}.", code="bad_url") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ApiError(f"The address {url!r} is not of the form http://host:port.", code="bad_url")
    return parsed.host


def read_events(response: httpx2.Response) -> Iterator[Event]:
    """The events of a response, as they arrive; one that breaks off in the middle is not among them."""
    for event in httpx2.EventSource(response):
        if event.data:  # without data it only moves the id; the specification has it dropped, too
            yield Event(id=event.id, kind=event.event, data=json.loads(event.data))
