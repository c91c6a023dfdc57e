"""Which receivers a webhook reaches: its address is a stranger's wish."""

import socket
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fixtures.webhooks import TAKEN, canceled, deliver
from support.requirements import part_missing
from support.scripted_server import Serving, serving

from shared.jobs.webhook import literal
from shared.services import Services
from worker.webhooks.http import Courier, Undelivered
from worker.webhooks.sender import Postman


@pytest.fixture
def careful(services: Services) -> Postman:
    """Who calls public addresses only."""
    return Postman(replace(services, settings=services.settings.model_copy(update={"webhook_private": False})))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_host_that_turns_out_to_be_this_machine_is_not_called(
    host: str, services: Services, careful: Postman, receiver: Serving
) -> None:
    job_id = canceled(services, receiver.url.replace("127.0.0.1", host))
    deliver(careful)
    (once,) = services.outbox.deliveries(job_id)
    assert "no public address" in (once.error or "")
    assert once.next_attempt_at is not None
    assert receiver.seen == []


def test_a_name_is_looked_up_once_so_that_it_cannot_mean_another_host_later(
    services: Services, postman: Postman, receiver: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, look_up = [], socket.getaddrinfo

    def spy(host: Any, *args: Any, **options: Any) -> Any:
        asked.append(host)
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", spy)
    canceled(services, receiver.url.replace("127.0.0.1", "localhost"))
    deliver(postman)
    assert receiver.seen[0][2]["host"] == f"localhost:{receiver.port}"
    assert [host for host in asked if literal(str(host)) is None] == ["localhost"]


def test_no_proxy_of_the_environment_is_used(
    services: Services, postman: Postman, receiver: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    canceled(services, receiver.url)
    deliver(postman)
    assert len(receiver.seen) == 1


@pytest.mark.parametrize(("name", "arrives"), [("localhost", True), ("elsewhere.example", False)])
def test_tls_asks_for_the_name_although_the_address_is_called(tmp_path: Path, name: str, *, arrives: bool) -> None:
    certificate = _certificate(tmp_path, name)
    here = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    here.load_cert_chain(certificate, tmp_path / "key.pem")
    trusting = ssl.create_default_context(cafile=str(certificate))
    with serving(TAKEN, tls=here) as receiver:
        send = _sending(Courier(private=True, seconds=20, tls=trusting), f"https://localhost:{receiver.port}/")
        if arrives:
            assert send() == 204
            assert receiver.seen[0][2]["host"] == f"localhost:{receiver.port}"
        else:
            with pytest.raises(Undelivered, match="cannot be reached"):
                send()
            assert receiver.seen == []


def _sending(courier: Courier, url: str) -> Callable[[], int]:
    return lambda: courier.post(url, {}, b"{}").status


def _certificate(folder: Path, name: str) -> Path:
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    try:
        subprocess.run(
            [*command, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True
        )
    except FileNotFoundError:
        part_missing("there is no openssl")
    return folder / "cert.pem"
