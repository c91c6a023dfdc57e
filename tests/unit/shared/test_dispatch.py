"""Celery's connection to Redis."""

import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from support.certificates import self_signed_certificate

from shared.dispatch import Dispatcher, create_celery_app
from shared.redis_client import connect
from shared.settings import Settings


@contextmanager
def tls_server(certificate: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the port of a server on loopback that ends each connection, and what it has received."""
    tls, received = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), list[bytes]()
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                with tls.wrap_socket(self.request, server_side=True) as connection:
                    received.append(connection.recv(1024))
            except OSError:  # the client does not trust the certificate
                pass

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1], received
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("option", "trusted"),
    [("?ssl_ca_certs=", True), ("", False), ("?ssl_cert_reqs=", False)],  # an empty value is ignored
)
def test_celery_sends_the_password_of_redis_only_to_a_server_with_a_trusted_certificate(
    tmp_path: Path, option: str, *, trusted: bool
) -> None:
    certificate = self_signed_certificate(tmp_path, "localhost")
    with tls_server(certificate) as (port, received):
        url = f"rediss://:secret@localhost:{port}/0{option}{certificate if trusted else ''}"
        app = create_celery_app(Settings(redis_url=url))
        assert not Dispatcher(app, connect(url)).wake("standard")
        assert any(b"secret" in data for data in received) == trusted
