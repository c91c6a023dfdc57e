"""One webhook request. Its protections are those of worker/outbound_http.py."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx2

from easel.retry_after import parse_retry_after
from worker.outbound_http import OutboundClient, RequestFailed

GONE: Final = 410


class DeliveryFailed(Exception):
    """There was no response; the message says why, for people."""


@dataclass(frozen=True)
class WebhookResponse:
    """The parts of a receiver's response that matter."""

    status: int
    retry_after: float = 0.0  # seconds

    @property
    def error(self) -> str | None:
        """Why the response is not a success, for people; None if it is one."""
        if 200 <= self.status < 300:  # noqa: PLR2004 - HTTP's successes
            return None
        if 300 <= self.status < 400:  # noqa: PLR2004 - HTTP's redirections
            return "The receiver redirects, which is not followed; submit its final address."
        if self.status == GONE:
            return "The receiver is gone; no more events are sent to it."
        return "The receiver did not accept the event."


class WebhookClient:
    """Safe to share between threads. `seconds` limits a whole request except the name's resolution before it."""

    def __init__(self, *, private: bool, seconds: float, tls: ssl.SSLContext | None = None) -> None:
        self._client = OutboundClient(
            private=private, seconds=seconds, setting="EASEL_WEBHOOK_PRIVATE", peer="receiver", tls=tls
        )

    def post(self, address: str, headers: Mapping[str, str], body: bytes) -> WebhookResponse:
        """Send a POST request. Raises DeliveryFailed."""
        try:
            response = self._client.send("POST", httpx2.URL(address), headers, body)
        except RequestFailed as error:
            raise DeliveryFailed(str(error)) from error
        return WebhookResponse(response.status, parse_retry_after(response.headers.get("retry-after", "")))
