"""One webhook request to an address chosen by a user, who may have chosen it to reach services in our network.

Protections: the name is resolved once, each address is checked, and the connection goes to a checked address, while
Host and TLS use the name, so no second lookup can point elsewhere. Redirects are not followed, proxies of the
environment are not used, the whole request has a time limit, and only the head of the response is read.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx2

from easel.retry_after import parse_retry_after
from shared.jobs.webhook import is_public, parse_ip

GONE: Final = 410
_MAX_ADDRESSES: Final = 3


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
        self._private, self._seconds = private, seconds
        self._tls = tls or httpx2.create_ssl_context()

    def post(self, address: str, headers: Mapping[str, str], body: bytes) -> WebhookResponse:
        """Send a POST request. Raises DeliveryFailed."""
        url = httpx2.URL(address)
        hosts = self._resolve(url)
        try:
            return asyncio.run(asyncio.wait_for(self._post_to_first(url, hosts, headers, body), self._seconds))
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise DeliveryFailed(f"The receiver did not respond within {self._seconds:g} seconds.") from error
        except (httpx2.HTTPError, OSError) as error:
            raise DeliveryFailed(f"The receiver cannot be reached: {error}.") from error

    def _resolve(self, url: httpx2.URL) -> list[str]:
        """Return the receiver's addresses that may be called, in the resolver's order.

        The name is resolved here because httpx2 has no hook between its own resolution and the connection.
        """
        host = url.raw_host.decode("ascii")
        try:
            resolved = socket.getaddrinfo(host, url.port or url.scheme, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise DeliveryFailed(f"{host} cannot be resolved.") from error
        addresses = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in resolved)
        allowed = [address for address in addresses if self._private or _is_public(address)]
        if not allowed:
            raise DeliveryFailed(
                f"{host} has no public address; EASEL_WEBHOOK_PRIVATE=true on the server allows others."
            )
        return allowed[:_MAX_ADDRESSES]

    async def _post_to_first(
        self, url: httpx2.URL, hosts: list[str], headers: Mapping[str, str], body: bytes
    ) -> WebhookResponse:
        """Send the request to the first host that accepts a connection.

        Each call has its own client: a pool would reuse a connection to an address for another name on it.
        """
        timeout = self._seconds / len(hosts)
        async with httpx2.AsyncClient(verify=self._tls, trust_env=False, timeout=timeout) as client:
            for host in hosts[:-1]:
                try:
                    return await _post_to(client, url, host, headers, body)
                except (httpx2.ConnectError, httpx2.ConnectTimeout):
                    continue
            return await _post_to(client, url, hosts[-1], headers, body)


async def _post_to(
    client: httpx2.AsyncClient, url: httpx2.URL, host: str, headers: Mapping[str, str], body: bytes
) -> WebhookResponse:
    request = client.build_request(
        "POST",
        url.copy_with(host=host),
        content=body,
        headers={**headers, "host": url.netloc.decode("ascii")},
        extensions={"sni_hostname": url.raw_host.decode("ascii")},
    )
    response = await client.send(request, stream=True, follow_redirects=False)
    await response.aclose()
    return WebhookResponse(response.status_code, parse_retry_after(response.headers.get("retry-after", "")))


def _is_public(address: str) -> bool:
    ip = parse_ip(address)
    return ip is not None and is_public(ip)
