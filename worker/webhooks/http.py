"""One signed request to a stranger's address, which may be chosen to make us knock at our own doors.

So the name is resolved here, each address judged, and the connection made to exactly what was judged, while TLS still
asks for the name: no second look-up can point elsewhere. No redirect is followed, no proxy of the environment's used,
and of the answer nothing is read but its head.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx2

from easel import retry_after
from shared.jobs.webhook import is_public, literal

GONE: Final = 410
_ADDRESSES_TRIED: Final = 3


class Undelivered(Exception):
    """Why there was no answer, for a person."""


@dataclass(frozen=True)
class Answer:
    """What a receiver said."""

    status: int
    retry_after: float = 0.0  # seconds

    @property
    def complaint(self) -> str | None:
        """What was wrong with it, for a person."""
        if 200 <= self.status < 300:  # noqa: PLR2004 - HTTP's successes
            return None
        if 300 <= self.status < 400:  # noqa: PLR2004 - HTTP's redirections
            return "The receiver redirects, which is not followed; submit its final address."
        return "The receiver is gone; it is told nothing more." if self.status == GONE else "The receiver refused it."


class Courier:
    """Safe to share between threads. `seconds` bounds a whole request, but not what the resolver takes before it."""

    def __init__(self, *, private: bool, seconds: float, tls: ssl.SSLContext | None = None) -> None:
        self._private, self._seconds = private, seconds
        self._tls = tls or httpx2.create_ssl_context()

    def post(self, address: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises Undelivered."""
        url = httpx2.URL(address)
        hosts = self._resolve(url)
        try:
            return asyncio.run(asyncio.wait_for(self._call(url, hosts, headers, body), self._seconds))
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise Undelivered(f"The receiver did not answer within {self._seconds:g} seconds.") from error
        except (httpx2.HTTPError, OSError) as error:
            raise Undelivered(f"The receiver cannot be reached: {error}.") from error

    def _resolve(self, url: httpx2.URL) -> list[str]:
        """The receiver's addresses that may be called, in the resolver's order."""
        host = url.raw_host.decode("ascii")
        try:
            found = socket.getaddrinfo(host, url.port or url.scheme, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Undelivered(f"There is no address of {host}.") from error
        addresses = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)
        allowed = [address for address in addresses if self._private or _public(address)]
        if not allowed:
            raise Undelivered(f"{host} has no public address; EASEL_WEBHOOK_PRIVATE=true on the server allows others.")
        return allowed[:_ADDRESSES_TRIED]

    async def _call(self, url: httpx2.URL, hosts: list[str], headers: Mapping[str, str], body: bytes) -> Answer:
        """The first of the hosts that takes a connection. A client for each call: a kept connection knows no name."""
        timeout = self._seconds / len(hosts)
        async with httpx2.AsyncClient(verify=self._tls, trust_env=False, timeout=timeout) as client:
            for host in hosts[:-1]:
                try:
                    return await self._ask(client, url, host, headers, body)
                except (httpx2.ConnectError, httpx2.ConnectTimeout):
                    continue
            return await self._ask(client, url, hosts[-1], headers, body)

    async def _ask(
        self, client: httpx2.AsyncClient, url: httpx2.URL, host: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        request = client.build_request(
            "POST",
            url.copy_with(host=host),
            content=body,
            headers={**headers, "host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
        response = await client.send(request, stream=True, follow_redirects=False)
        await response.aclose()
        return Answer(response.status_code, retry_after.seconds(response.headers.get("retry-after", "")))


def _public(address: str) -> bool:
    found = literal(address)
    return found is not None and is_public(found)
