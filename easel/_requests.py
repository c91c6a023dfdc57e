"""HTTP requests and event streams with retries, written once for both clients."""

import json
import math
import random
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, TypeVar

import httpx2
from pydantic import BaseModel, TypeAdapter, ValidationError

from easel._transports import AsyncTransport, SyncTransport
from easel.errors import ApiError, BadInput, Unreachable, error_from_response

ATTEMPTS: Final = 5  # about 3 seconds of pauses, unless the service asks for longer ones
STREAM_ATTEMPTS: Final = 12  # about 40 seconds: the service may restart while a program watches
FIRST_PAUSE = 0.25  # seconds, as are all below
MAX_PAUSE = 8.0
MAX_TOTAL_PAUSE: Final = 45.0  # all pauses of one request together
RECONNECT_PAUSE = 1.0
_STREAM_READ_TIMEOUT: Final = 60.0  # the service sends an event or a comment more often than this
_CONNECT_TIMEOUT: Final = 5.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


OnRetry = Callable[[ApiError, float], None]
"""Called before each retry with the error and the seconds until the retry."""
TransportType = type[SyncTransport] | type[AsyncTransport]
Model = TypeVar("Model", bound=BaseModel)
Event = TypeVar("Event")


class RetryBudget:
    """The number of attempts that remain, and the pauses between them: exponential with jitter, up to `deadline`.

    `deadline` is a time of the monotonic clock.
    """

    def __init__(self, attempts: int, on_retry: OnRetry | None, deadline: float = math.inf) -> None:
        self._attempts, self._on_retry, self._deadline = attempts, on_retry, deadline
        self.reset()

    def reset(self) -> None:
        """Restore the whole budget, after a success."""
        self._failures, self._total_pause = 0, 0.0

    def next_pause(self, error: ApiError) -> float:
        """Return the seconds until the next attempt. Raises `error` if it is not transient or the budget is spent."""
        self._failures += 1
        backoff = min(MAX_PAUSE, FIRST_PAUSE * 2 ** (self._failures - 1))
        pause: float = max(error.retry_after, backoff * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
        self._total_pause += pause
        remaining = self._deadline - time.monotonic()
        spent = self._failures >= self._attempts or self._total_pause > MAX_TOTAL_PAUSE or remaining <= 0
        if spent or not error.transient:
            raise error
        pause = min(pause, remaining)
        if self._on_retry:
            self._on_retry(error, pause)
        return pause


class RetryingClient:
    """A pool of connections to the service at `url`. Raises ApiError; Unreachable if there is no response."""

    def __init__(
        self, transport: TransportType, url: str, api_key: str | None, timeout: float, on_retry: OnRetry | None = None
    ) -> None:
        self.url = url.rstrip("/")
        host = _host(self.url)
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise BadInput("An API key has printable ASCII characters only; is EASEL_API_KEY right?", code="bad_key")
        self._timeout, self._on_retry = timeout, on_retry
        self._transport = transport(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            # A proxy of the environment cannot reach this machine's loopback.
            trust_env=host not in _LOOPBACK,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._transport.sleep(seconds)

    async def request_model(self, model: type[Model], method: str, path: str, **options: Any) -> Model:
        """Send a request (see `request`) and parse the response as a `model`. Raises ApiError `not_easel`."""
        response = await self.request(method, path, **options)
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise self._not_easel() from error

    async def request(
        self,
        method: str,
        path: str,
        *,
        idempotent: bool = True,
        hold: float = 0.0,
        attempts: int = ATTEMPTS,
        deadline: float = math.inf,
        **options: Any,
    ) -> httpx2.Response:
        """Return a response below 400, after retries of transient errors until `deadline` (monotonic clock).

        A request that is not `idempotent` is repeated only if it certainly was not executed. `hold` is how many
        seconds the service may delay its response on request. `options` are those of httpx2's `build_request`.
        """
        budget = RetryBudget(attempts, self._on_retry, deadline)
        while True:
            try:
                async with self._response(method, path, self._timeout + hold, **options) as response:
                    await self._transport.read(response)
                return response
            except ApiError as error:
                if not idempotent and isinstance(error, Unreachable) and error.sent:
                    raise
                await self._transport.sleep(budget.next_pause(error))

    async def stream(
        self, adapter: TypeAdapter[Event], path: str, after: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of a stream, from after the event ID `after`, until the service ends it with a 204.

        A broken stream is resumed after the last event. Raises Unreachable after about 40 seconds without a response.
        """
        last_id, budget = after, RetryBudget(STREAM_ATTEMPTS, self._on_retry)
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
            try:
                async with self._response("GET", path, _STREAM_READ_TIMEOUT, headers=headers) as response:
                    if response.status_code == httpx2.codes.NO_CONTENT:
                        return
                    async with aclosing(self._transport.events(response)) as events:
                        async for event in events:
                            last_id = event.id or last_id
                            budget.reset()
                            if event.data:  # an event without data only sets the ID (WHATWG HTML, section 9.2.6)
                                yield self._parse_event(adapter, event)
                await self._transport.sleep(RECONNECT_PAUSE)  # the service closed the stream; browsers wait, too
            except ApiError as error:
                await self._transport.sleep(budget.next_pause(error))

    def _parse_event(self, adapter: TypeAdapter[Event], event: httpx2.ServerSentEvent) -> Event:
        try:
            fields = {"id": event.id, "kind": event.event, "data": json.loads(event.data)}
        except ValueError as error:
            raise self._not_easel() from error
        try:
            return adapter.validate_python(fields)
        except ValidationError:  # a later version of the service may send values that this one does not know
            return adapter.validate_python({**fields, "kind": "unknown", "name": event.event})

    @asynccontextmanager
    async def _response(
        self, method: str, path: str, read_timeout: float, **options: Any
    ) -> AsyncIterator[httpx2.Response]:
        """Make one attempt, and yield a response below 400 whose body is not read yet."""
        timeout = httpx2.Timeout(read_timeout, connect=min(self._timeout, _CONNECT_TIMEOUT))
        try:
            request = self._transport.build_request(method, path, timeout=timeout, **options)
            response = await self._transport.send(request)
            try:
                if response.status_code >= httpx2.codes.BAD_REQUEST:
                    await self._transport.read(response)
                    raise error_from_response(response)
                yield response
            finally:
                await self._transport.close_response(response)
        except httpx2.TransportError as error:
            raise _tls_error(self.url, error) or self._unreachable(error) from error

    def _unreachable(self, error: httpx2.TransportError) -> Unreachable:
        reason = str(error) or type(error).__name__
        return Unreachable(self.url, reason, sent=not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout))

    def _not_easel(self) -> ApiError:
        return ApiError(f"The server at {self.url} is not Easel; is EASEL_URL right?", code="not_easel")


def _host(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise BadInput(f"{url!r} is not a URL: {error}.", code="bad_url") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise BadInput(f"The URL {url!r} is not of the form http://host:port.", code="bad_url")
    return parsed.host


def _tls_error(url: str, error: httpx2.TransportError) -> ApiError | None:
    """Return the error, which is not retried, of a server without TLS or without a valid certificate; else None."""
    cause: BaseException | None = error if isinstance(error, httpx2.ConnectError) else None
    while cause and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ApiError(f"The certificate of {url} is not valid: {cause.verify_message}.", code="bad_certificate")
    if not isinstance(cause, ssl.SSLError) or isinstance(cause, ssl.SSLEOFError):  # it closed: it may be restarting
        return None
    return ApiError(f"{url} did not respond with HTTPS ({cause.reason}); should it be http://?", code="no_https")
