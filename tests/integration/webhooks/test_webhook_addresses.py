"""Which addresses a webhook may reach: they come from users."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.certificates import self_signed_certificate
from support.fixtures.webhooks import NO_CONTENT, deliver_next, submit_and_cancel
from support.scripted_server import ScriptedServer, serve

from shared.jobs.webhook import parse_ip
from shared.services import Services
from worker.webhooks.http import DeliveryFailed, WebhookClient
from worker.webhooks.sender import WebhookSender


@pytest.fixture
def public_only_sender(services: Services) -> WebhookSender:
    """A sender that calls public addresses only."""
    return WebhookSender(replace(services, settings=services.settings.model_copy(update={"webhook_private": False})))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_host_that_resolves_to_this_machine_is_not_called(
    host: str, services: Services, public_only_sender: WebhookSender, receiver: ScriptedServer
) -> None:
    job_id = submit_and_cancel(services, receiver.url.replace("127.0.0.1", host))
    deliver_next(public_only_sender)
    (attempt,) = services.outbox.deliveries(job_id)
    assert "no public address" in (attempt.error or "")
    assert attempt.next_attempt_at is not None
    assert receiver.requests == []


def test_a_name_is_resolved_once_so_that_it_cannot_mean_another_host_later(
    services: Services, sender: WebhookSender, receiver: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved, getaddrinfo = [], socket.getaddrinfo

    def spy(host: Any, *args: Any, **options: Any) -> Any:
        resolved.append(host)
        return getaddrinfo(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", spy)
    submit_and_cancel(services, receiver.url.replace("127.0.0.1", "localhost"))
    deliver_next(sender)
    assert receiver.requests[0][2]["host"] == f"localhost:{receiver.port}"
    assert [host for host in resolved if parse_ip(str(host)) is None] == ["localhost"]


def test_the_environments_proxies_are_not_used(
    services: Services, sender: WebhookSender, receiver: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    submit_and_cancel(services, receiver.url)
    deliver_next(sender)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(("name", "arrives"), [("localhost", True), ("elsewhere.example", False)])
def test_tls_verifies_the_name_although_the_connection_goes_to_the_address(
    tmp_path: Path, name: str, *, arrives: bool
) -> None:
    certificate = self_signed_certificate(tmp_path, name)
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_tls.load_cert_chain(certificate, tmp_path / "key.pem")
    client_tls = ssl.create_default_context(cafile=str(certificate))
    with serve(NO_CONTENT, tls=server_tls) as receiver:
        send = _post(WebhookClient(private=True, seconds=20, tls=client_tls), f"https://localhost:{receiver.port}/")
        if arrives:
            assert send() == 204
            assert receiver.requests[0][2]["host"] == f"localhost:{receiver.port}"
        else:
            with pytest.raises(DeliveryFailed, match="cannot be reached"):
                send()
            assert receiver.requests == []


def _post(client: WebhookClient, url: str) -> Callable[[], int]:
    return lambda: client.post(url, {}, b"{}").status
