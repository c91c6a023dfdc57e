"""A webhook receiver on a real socket: it checks each signature, and fails now and then, or always while it is down."""

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any, Final, Self

from standardwebhooks import Webhook, WebhookVerificationError

_FAILURES: Final = 0.1  # of the requests
_FAILED: Final = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class Delivery:
    """One attempt to deliver an event."""

    tenant: str  # whose URL was called
    event: str  # such as job.succeeded
    job_id: str
    signed: bool  # whether the signature is the tenant's
    acknowledged: bool  # by a 2xx response


class Receiver:
    """One server with a URL for each tenant. Safe to use from many threads."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.deliveries: list[Delivery] = []
        self.down = False
        self._verifiers = {tenant: Webhook(secret) for tenant, secret in secrets.items()}
        self._random = Random(0)  # noqa: S311 - not used for secrets
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="webhook receiver", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, tenant: str) -> str:
        """Return the URL for this tenant's jobs."""
        return f"http://127.0.0.1:{self._server.server_port}/{tenant}"

    def acknowledged(self) -> set[tuple[str, str]]:
        """Return (job id, event) of everything that was delivered."""
        return {(delivery.job_id, delivery.event) for delivery in list(self.deliveries) if delivery.acknowledged}

    def _receive(self, tenant: str, headers: Mapping[str, str], body: bytes) -> HTTPStatus:
        content, signed = json.loads(body), False
        with suppress(WebhookVerificationError, KeyError):
            self._verifiers[tenant].verify(body.decode(), {name.lower(): value for name, value in headers.items()})
            signed = True
        failing = self.down or self._random.random() < _FAILURES
        self.deliveries.append(Delivery(tenant, content["type"], content["data"]["id"], signed, not failing))
        return self._random.choice(_FAILED) if failing else HTTPStatus.NO_CONTENT

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receive = self._receive

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(receive(self.path.strip("/"), dict(self.headers), body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
