"""One HTTP request to an address chosen by a user, who may have chosen it to reach services in our network.

Protections: the name is resolved once, each address is checked, and the connection goes to a checked address, while
Host and TLS use the name, so no second lookup can point elsewhere. Redirects are not followed, proxies of the
environment are not used, the whole request has a time limit, and no more of the response is read than is asked for.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from shared.jobs.webhook import is_public, parse_ip

_MAX_ADDRESSES: Final = 3


class RequestFailed(Exception):
    """There was no response; the message says why, for people."""


class ResponseTooLargeError(Exception):
    """The body of the response is larger than was asked for."""


@dataclass(frozen=True)
class OutboundResponse:
    """A response, with as much of its body as was asked for."""

    status: int
    headers: httpx2.Headers
    body: bytes = b""


class OutboundClient:
    """Safe to share between threads. `seconds` limits a whole request except the name's resolution before it.

    `setting` is the one that allows private addresses, and `peer` is what errors call the other side.
    """

    def __init__(
        self, *, private: bool, seconds: float, setting: str, peer: str, tls: ssl.SSLContext | None = None
    ) -> None:
        self._private, self._seconds, self._setting, self._peer = private, seconds, setting, peer
        self._tls = tls or httpx2.create_ssl_context()

    def send(
        self,
        method: str,
        url: httpx2.URL,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        max_bytes: int = 0,
        deadline: float = float("inf"),
    ) -> OutboundResponse:
        """Send a request. The response has the body of a success, if `max_bytes` are given.

        `deadline` is in time.monotonic(), for several requests together.

        Raises RequestFailed, ResponseTooLargeError.
        """
        hosts = self._resolve(url)
        try:
            send = self._send_to_first(url, hosts, method=method, headers=headers, body=body, max_bytes=max_bytes)
            return asyncio.run(asyncio.wait_for(send, min(self._seconds, deadline - time.monotonic())))
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise RequestFailed(f"The {self._peer} did not respond within {self._seconds:g} seconds.") from error
        except (httpx2.HTTPError, OSError) as error:
            raise RequestFailed(f"The {self._peer} cannot be reached: {error}.") from error

    def _resolve(self, url: httpx2.URL) -> list[str]:
        """Return the addresses that may be called, in the resolver's order.

        The name is resolved here because httpx2 has no hook between its own resolution and the connection.
        """
        host = url.raw_host.decode("ascii")
        try:
            resolved = socket.getaddrinfo(host, url.port or url.scheme, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise RequestFailed(f"{host} cannot be resolved.") from error
        addresses = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in resolved)
        allowed = [address for address in addresses if self._private or _is_public(address)]
        if not allowed:
            raise RequestFailed(f"{host} has no public address; {self._setting}=true on the server allows others.")
        return allowed[:_MAX_ADDRESSES]

    async def _send_to_first(self, url: httpx2.URL, hosts: list[str], **request: Any) -> OutboundResponse:
        """Send the request to the first host that accepts a connection.

        Each call has its own client: a pool would reuse a connection to an address for another name on it.
        """
        timeout = self._seconds / len(hosts)
        async with httpx2.AsyncClient(verify=self._tls, trust_env=False, timeout=timeout) as client:
            for host in hosts[:-1]:
                try:
                    return await _send_to(client, url, host, **request)
                except (httpx2.ConnectError, httpx2.ConnectTimeout):
                    continue
            return await _send_to(client, url, hosts[-1], **request)


async def _send_to(
    client: httpx2.AsyncClient,
    url: httpx2.URL,
    host: str,
    *,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    max_bytes: int,
) -> OutboundResponse:
    request = client.build_request(
        method,
        url.copy_with(host=host),
        content=body,
        headers={**headers, "host": url.netloc.decode("ascii")},
        extensions={"sni_hostname": url.raw_host.decode("ascii")},
    )
    response = await client.send(request, stream=True, follow_redirects=False)
    try:
        content = await _read(response, max_bytes) if max_bytes and response.is_success else b""
    finally:
        await response.aclose()
    return OutboundResponse(response.status_code, response.headers, content)


async def _read(response: httpx2.Response, max_bytes: int) -> bytes:
    """Return the body as it was sent: what is compressed is not expanded. Raises ResponseTooLargeError."""
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > max_bytes:
            raise ResponseTooLargeError
    return bytes(content)


def _is_public(address: str) -> bool:
    ip = parse_ip(address)
    return ip is not None and is_public(ip)
