"""Webhook targets and payloads, and the addresses that may be called. Pure; no host name is resolved here."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import httpx2
from pydantic import BaseModel, Field

from easel.models import JobError, JobState
from shared.errors import InvalidWebhook, WebhooksDisabled
from shared.jobs.job import WEBHOOK_EVENTS, WebhookEvent, WebhookTarget


class WebhookJob(BaseModel):
    """The job's part of the payload: only facts that are the same at every delivery attempt."""

    id: str = Field(description="The job's ID.")
    state: JobState = Field(description="`running` for job.started, even if the job has ended since.")
    tier: str = Field(description="The queue that it was in.")
    created_at: datetime = Field(description="When it was submitted.")
    metadata: dict[str, str] = Field(description="As submitted.")
    url: str = Field(
        description="URL of the job; its path, if EASEL_PUBLIC_URL is not set.",
        examples=["https://easel.example/v1/jobs/0199d3c1-…"],
    )
    result: str | None = Field(description="URL or path of the result; null if there is none.")
    error: JobError | None


class WebhookPayload(BaseModel):
    """The body of a webhook request, in the shape that Standard Webhooks proposes."""

    type: WebhookEvent = Field(description="What happened.")
    timestamp: datetime = Field(description="Time of the event.")
    data: WebhookJob


Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_URL_LENGTH: Final = 2000
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,253}", re.ASCII)
_GLOBAL_IPV6: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_BLOCKED_NETWORKS: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # IETF protocol assignments; some clouds serve metadata there
        "168.63.129.16/32",  # Azure's internal platform service, under a public address
        "2001::/32",  # Teredo: a tunnel to an IPv4 address that it hides
        "2002::/16",  # 6to4: the same
    )
)


def is_public(address: Address) -> bool:
    """Return whether this is a public unicast address.

    An IPv4 address inside an IPv6 one (mapped, or behind NAT64) is judged as an IPv4 address.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None)
        if inner is not None:
            return is_public(inner)
        if address not in _GLOBAL_IPV6:
            return False
    blocked = any(address in network for network in _BLOCKED_NETWORKS if network.version == address.version)
    return address.is_global and not address.is_multicast and not address.is_reserved and not blocked


def parse_webhook_target(url: str, events: Iterable[str], *, enabled: bool, private: bool) -> WebhookTarget:
    """Check a submitted webhook; empty `events` means all. Raises WebhooksDisabled, InvalidWebhook."""
    if not enabled:
        raise WebhooksDisabled
    selected = set(events) or set(WEBHOOK_EVENTS)
    if unknown := sorted(selected - set(WEBHOOK_EVENTS)):
        raise _invalid("webhook_events", f"Unknown event {unknown[0]!r}; choose from {', '.join(WEBHOOK_EVENTS)}.")
    if problem := url_problem(url, name="webhook URL", setting="EASEL_WEBHOOK_PRIVATE", private=private):
        raise _invalid("webhook_url", problem)
    return WebhookTarget(url=url, events=tuple(event for event in WEBHOOK_EVENTS if event in selected))


def parse_ip(host: str) -> Address | None:
    """Return the IP address that `host` spells out, or None for a host name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def url_problem(
    text: str, *, name: str, setting: str, private: bool, schemes: Sequence[str] = ("http", "https")
) -> str | None:
    """Return why the service may not call this URL, for people; None if it may. `setting` allows `private` ones."""
    if len(text) > _MAX_URL_LENGTH:
        return f"The {name} has more than {_MAX_URL_LENGTH} characters; use a shorter one."
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        return f"The {name} cannot be parsed: {error}."
    host = url.raw_host.decode("ascii")
    address = parse_ip(host)
    if url.scheme not in schemes or not (address or _HOST_NAME.fullmatch(host)):
        return f"A {name} is {' or '.join(f'{one}://' for one in schemes)}, a host, and optionally a port and a path."
    if url.port is not None and not 0 < url.port < 2**16:
        return f"The {name} has an invalid port, {url.port}; ports go from 1 to 65535."
    if url.userinfo:
        return f"A {name} must not hold a user or password."
    is_private = not is_public(address) if address else host.rstrip(".").lower().endswith("localhost")
    return (
        f"{host} is not a public address; {setting}=true on the server allows it."
        if is_private and not private
        else None
    )


def _invalid(field: str, message: str) -> InvalidWebhook:
    return InvalidWebhook(message, errors=[{"field": field, "message": message}])
