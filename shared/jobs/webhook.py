"""What a webhook may ask for, what it is told, and which addresses are called. Pure; no name is resolved here."""

import ipaddress
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import httpx2
from pydantic import BaseModel, Field

from easel.models import JobError, JobState
from shared.errors import InvalidWebhook, WebhooksDisabled
from shared.jobs.job import EVENTS, Webhook, WebhookEvent


class Facts(BaseModel):
    """Of the job: only what is as true at the last try as at the first."""

    id: str
    state: JobState = Field(description="`running` for job.started, whatever became of the job since.")
    tier: str
    created_at: datetime
    url: str = Field(description="Path of the job on this service.", examples=["/v1/jobs/0199d3c1-…"])
    result: str | None = Field(description="Path of the picture, where there is one.")
    error: JobError | None


class Notice(BaseModel):
    """What a webhook receives, in the shape that Standard Webhooks proposes."""

    type: WebhookEvent
    timestamp: datetime = Field(description="When it happened.")
    data: Facts


Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LONGEST_URL: Final = 2000
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,253}", re.ASCII)
_GLOBAL_IPV6: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_REFUSED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # for protocols; a cloud's metadata lie there
        "168.63.129.16/32",  # a cloud's inner service under a public address
        "2001::/32",  # Teredo and
        "2002::/16",  # 6to4: tunnels to an IPv4 address that they hide
    )
)


def is_public(address: Address) -> bool:
    """Whether this is an address of the open internet, and of one host.

    An IPv4 address inside an IPv6 one (mapped, or behind a NAT64) is judged as what it is.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None)
        if inner is not None:
            return is_public(inner)
        if address not in _GLOBAL_IPV6:
            return False
    hidden = any(address in network for network in _REFUSED if network.version == address.version)
    return address.is_global and not address.is_multicast and not address.is_reserved and not hidden


def webhook(url: str, events: Iterable[str], *, enabled: bool, private: bool) -> Webhook:
    """A job's webhook as its sender wishes it, without `events` for all. Raises WebhooksDisabled, InvalidWebhook."""
    if not enabled:
        raise WebhooksDisabled
    wanted = set(events) or set(EVENTS)
    if unknown := sorted(wanted - set(EVENTS)):
        raise _wrong("webhook_events", f"There is no event {unknown[0]!r}; there are {', '.join(EVENTS)}.")
    _check(url, private=private)
    return Webhook(url=url, events=tuple(event for event in EVENTS if event in wanted))


def literal(host: str) -> Address | None:
    """The address that this host is, None of a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check(text: str, *, private: bool) -> None:
    if len(text) > _LONGEST_URL:
        raise _wrong("webhook_url", f"A webhook's address has at most {_LONGEST_URL} characters.")
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise _wrong("webhook_url", f"The webhook's address cannot be read: {error}.") from error
    host = url.raw_host.decode("ascii")
    address = literal(host)
    if url.scheme not in {"http", "https"} or not (address or _NAME.fullmatch(host)):
        raise _wrong(
            "webhook_url", "A webhook's address is http:// or https://, a host, and perhaps a port and a path."
        )
    if url.port is not None and not 0 < url.port < 2**16:
        raise _wrong("webhook_url", f"There is no port {url.port}.")
    if url.userinfo:
        raise _wrong("webhook_url", "A webhook's address holds no user or password; requests are signed instead.")
    local = not is_public(address) if address else host.rstrip(".").lower().endswith("localhost")
    if local and not private:
        raise _wrong("webhook_url", f"{host} is no public address; EASEL_WEBHOOK_PRIVATE=true on the server allows it.")


def _wrong(field: str, message: str) -> InvalidWebhook:
    return InvalidWebhook(message, errors=[{"field": field, "message": message}])
