"""One request and one stream over HTTP, sent again where that may help. Written once for both kinds of client."""

import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from easel._transports import AsyncWire, BlockingWire
from easel.errors import ApiError, BadInput, Unreachable, refusal
from easel.models import Event

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
WireKind = type[BlockingWire] | type[AsyncWire]
Model = TypeVar("Model", bound=BaseModel)


class Patience:
    """The pauses between attempts: longer each time, and never in step with other clients."""

    def __init__(self, attempts: int, on_retry: OnRetry | None) -> None:
        self._attempts, self._on_retry = attempts, on_retry
        self.renew()

    def renew(self) -> None:
        """It went well: begin anew."""
        self._failures, self._spent = 0, 0.0

    def pause(self, trouble: ApiError) -> float:
        """Seconds before the next attempt. Raises `trouble` where another one cannot help, or has not for long."""
        self._failures += 1
        backoff = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._failures - 1))
        seconds: float = max(trouble.retry_after, backoff * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
        self._spent += seconds
        if not trouble.passing or self._failures >= self._attempts or self._spent > PATIENCE:
            raise trouble
        if self._on_retry:
            self._on_retry(trouble, seconds)
        return seconds


class Sender:
    """A pool of connections to the service at `url`. What it raises is ApiError; Unreachable where nobody answers."""

    def __init__(
        self, wire: WireKind, url: str, api_key: str | None, timeout: float, on_retry: OnRetry | None = None
    ) -> None:
        self.url = url.rstrip("/")
        host = _host(self.url)
        self._timeout, self._on_retry = timeout, on_retry
        self._wire = wire(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            # A proxy of the environment cannot know this machine's own loopback.
            trust_env=host not in _LOOPBACK,
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._wire.close()

    async def ask(self, model: type[Model], method: str, path: str, **request: Any) -> Model:
        """The answer as a `model`; see `send`. Raises ApiError `not_easel` where it is something else."""
        response = await self.send(method, path, **request)
        return self.read(model, response.content)

    def read(self, model: type[Model], answer: bytes | str) -> Model:
        """JSON as a `model`. Raises as `ask` does."""
        try:
            return model.model_validate_json(answer)
        except ValidationError as error:
            detail = f"{self.url} answers, but not as Easel does; is EASEL_URL right?"
            raise ApiError(detail, code="not_easel") from error

    async def send(
        self, method: str, path: str, *, harmless: bool = True, hold: float = 0.0, **request: Any
    ) -> httpx2.Response:
        """The response, if it is below 400, after several attempts where they may help.

        A request that is not `harmless` is sent again only where it surely was not carried out.
        `hold` is how many seconds the service was asked to keep the answer back.
        """
        patience = Patience(ATTEMPTS, self._on_retry)
        while True:
            try:
                async with self._response(method, path, self._timeout + hold, **request) as response:
                    await self._wire.read(response)
                return response
            except ApiError as trouble:
                if not harmless and isinstance(trouble, Unreachable) and trouble.sent:
                    raise
                await self._wire.pause(patience.pause(trouble))

    async def follow(self, path: str, after: str | None = None) -> AsyncGenerator[Event, None]:
        """The events of a stream, from after the event id `after`, until the service says that nothing will follow.

        A stream that breaks is taken up again where it broke; nobody answering for about 40 seconds ends it.
        """
        last, patience = after, Patience(STREAM_ATTEMPTS, self._on_retry)
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
            try:
                async with self._response("GET", path, _SILENCE, headers=headers) as response:
                    if response.status_code == httpx2.codes.NO_CONTENT:
                        return
                    async with aclosing(self._wire.events(response)) as events:
                        async for event in events:
                            last = event.id or last
                            patience.renew()
                            if event.data:  # without data it only moves the id, says the specification
                                yield Event(id=event.id, kind=event.event, data=json.loads(event.data))
                await self._wire.pause(RECONNECT_PAUSE)  # it was closed in good order; a browser waits, too
            except ApiError as trouble:
                await self._wire.pause(patience.pause(trouble))

    @asynccontextmanager
    async def _response(self, method: str, path: str, silence: float, **request: Any) -> AsyncIterator[httpx2.Response]:
        """The head of a response below 400, of a single attempt; `silence` is the longest one within it."""
        timeout = httpx2.Timeout(silence, connect=min(self._timeout, _CONNECT_TIMEOUT))
        try:
            response = await self._wire.send(self._wire.request(method, path, timeout=timeout, **request))
            try:
                if response.status_code >= httpx2.codes.BAD_REQUEST:
                    await self._wire.read(response)
                    raise refusal(response)
                yield response
            finally:
                await self._wire.leave(response)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx2.TransportError) -> Unreachable:
        reason = str(error) or type(error).__name__
        return Unreachable(self.url, reason, sent=not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout))


def _host(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise BadInput(f"{url!r} is no address: {error}.", code="bad_url") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise BadInput(f"The address {url!r} is not of the form http://host:port.", code="bad_url")
    return parsed.host
