"""Accepted webhooks, addresses that are called, and the delays between delivery attempts."""

import ipaddress
import itertools
from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.multipart import parse_events
from shared.errors import InvalidWebhook, WebhooksDisabled
from shared.jobs.job import WEBHOOK_EVENTS, WEBHOOK_RETRY_SECONDS, WebhookTarget
from shared.jobs.webhook import is_public, parse_webhook_target
from shared.settings import InvalidSettings, Settings
from worker.webhooks.http import WebhookResponse
from worker.webhooks.sender import retry_delay

DAY = 86_400
UNCALLABLE = (
    *(
        "",
        "nonsense",
        "example.com",
        "http://",
        "ftp://example.com",
        "file:///etc/passwd",
        "http://a b/",
        "http://[::1",
    ),
    *("http://user@example.com", "http://user:word@example.com", "http://example.com:0", "http://example.com:99999"),
    *("http://%6c/", "http://exa\nmple.com", "https://example.com/" + "x" * 2000),
)
PRIVATE = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.168.0.0/16", "198.18.0.0/15", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
    *("::/96", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "2001:db8::/32", "2001::/32", "2002::/16"),
    *("64:ff9b:1::/48", "100::/64", "::1/128"),
)


@st.composite
def addresses(draw: st.DrawFn, networks: Iterable[str]) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    network = ipaddress.ip_network(draw(st.sampled_from(sorted(networks))))
    return network[draw(st.integers(0, network.num_addresses - 1))]


def wrapped(address: ipaddress.IPv4Address) -> list[ipaddress.IPv6Address]:
    """Return the host as IPv6 addresses: mapped, and behind NAT64."""
    return [ipaddress.IPv6Address((0xFFFF << 32) | int(address)), ipaddress.ip_network("64:ff9b::/96")[int(address)]]


@given(addresses(PRIVATE))
def test_addresses_of_reserved_networks_are_not_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert not is_public(address)
    if isinstance(address, ipaddress.IPv4Address):
        assert not any(map(is_public, wrapped(address)))


@given(st.ip_addresses(v=4))
def test_an_embedded_ipv4_address_is_judged_as_ipv4(address: ipaddress.IPv4Address) -> None:
    assert [is_public(one) for one in wrapped(address)] == [is_public(address)] * 2
    tunnel = ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80) | 1)
    assert not is_public(tunnel)


@pytest.mark.parametrize("text", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001:800::200e"])
def test_internet_hosts_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://example.com:8000/a?b=c",
        "https://1.1.1.1/",
        "https://[2606:4700::1111]:8443/",
        "https://bücher.example/",
    ],
)
def test_a_public_url_is_accepted_and_no_events_means_all(url: str) -> None:
    assert parse_webhook_target(url, [], enabled=True, private=False) == WebhookTarget(url=url, events=WEBHOOK_EVENTS)


@pytest.mark.parametrize("url", UNCALLABLE)
def test_an_invalid_url_is_rejected_with_the_name_of_the_form_field(url: str) -> None:
    with pytest.raises(InvalidWebhook) as caught:
        parse_webhook_target(url, [], enabled=True, private=True)
    assert caught.value.extra["errors"][0]["field"] == "webhook_url"


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "localhost", "a.localhost."])
def test_a_private_address_is_rejected_unless_allowed(host: str) -> None:
    with pytest.raises(InvalidWebhook, match="EASEL_WEBHOOK_PRIVATE"):
        parse_webhook_target(f"http://{host}:8000/", [], enabled=True, private=False)
    assert parse_webhook_target(f"http://{host}:8000/", [], enabled=True, private=True)


@given(st.text())
def test_any_text_is_accepted_or_rejected(text: str) -> None:
    with suppress(InvalidWebhook):
        assert parse_webhook_target(text, [], enabled=True, private=False).url == text


def test_without_a_secret_webhooks_are_disabled() -> None:
    with pytest.raises(WebhooksDisabled, match="EASEL_WEBHOOK_SECRET"):
        parse_webhook_target("https://example.com", [], enabled=False, private=False)


def test_events_are_parsed_from_json_or_commas_without_duplicates_in_order() -> None:
    for text in ('["job.failed", "job.started", "job.failed"]', " job.failed,job.started, "):
        found = parse_webhook_target("https://example.com", parse_events(text.strip()), enabled=True, private=False)
        assert found.events == ("job.started", "job.failed")


@pytest.mark.parametrize("text", ["job.done", '["job.done"]', "[1]", "[", '[["job.failed"]]', "job.failed;job.started"])
def test_an_unknown_event_is_rejected(text: str) -> None:
    with pytest.raises(InvalidWebhook) as caught:
        parse_webhook_target("https://example.com", parse_events(text), enabled=True, private=False)
    assert caught.value.extra["errors"][0]["field"] == "webhook_events"


@pytest.mark.parametrize(
    "secret", ["secret", "whsec_", "whsec_c2hvcnQ=", "whsec_no base64 at all, but long enough", "sk_"]
)
def test_an_invalid_secret_is_a_settings_error(secret: str) -> None:
    with pytest.raises(InvalidSettings, match="EASEL_WEBHOOK_SECRET"):
        Settings.model_validate({"webhook_secret": secret})


def test_retry_delays_grow_from_seconds_to_a_day_and_end_after_three_days() -> None:
    pauses = [retry_delay(attempt, 1, WebhookResponse(500)) for attempt in range(1, len(WEBHOOK_RETRY_SECONDS) + 1)]
    assert all(
        usual <= pause <= 1.2 * usual for usual, pause in zip(WEBHOOK_RETRY_SECONDS, pauses, strict=True) if pause
    )
    assert all(one < other for one, other in itertools.pairwise(pauses) if one and other)
    assert 3 * DAY < sum(WEBHOOK_RETRY_SECONDS) < 3.2 * DAY
    assert retry_delay(len(WEBHOOK_RETRY_SECONDS) + 1, 1, None) is None


@given(attempt=st.integers(1, len(WEBHOOK_RETRY_SECONDS)), requested_seconds=st.floats(0, 1e9))
def test_a_receiver_may_delay_a_retry_by_up_to_a_day_but_not_shorten_it(attempt: int, requested_seconds: float) -> None:
    pause = retry_delay(attempt, 1, WebhookResponse(503, requested_seconds))
    assert pause is not None
    assert (
        max(WEBHOOK_RETRY_SECONDS[attempt - 1], min(requested_seconds, DAY))
        <= pause
        <= max(1.2 * WEBHOOK_RETRY_SECONDS[attempt - 1], min(requested_seconds, DAY))
    )
