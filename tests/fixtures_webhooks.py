"""Webhooks: a job that has one, a receiver for it, and a postman who hardly pauses."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fixtures_ledger import request
from tiny_server import Serving, says, serving

from shared import truth
from shared.job import EVENTS
from shared.outbox import Letter
from shared.ports import Ports
from worker.postman import Postman

SECRETS = ["whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)]
TAKEN = says(b"", 204)


@pytest.fixture
def receiver() -> Iterator[Serving]:
    with serving(TAKEN) as found:
        yield found


@pytest.fixture
def postman(ports: Ports) -> Postman:
    return Postman(ports)


def order(ports: Ports, url: str, *events: str) -> str:
    """The id of a job that waits."""
    wanted = request(events=events or EVENTS, url=url)
    truth.write_request(ports.blobs, wanted)
    return ports.ledger.submit(wanted, queue_limit=100, remember_seconds=60)[0]


def canceled(ports: Ports, url: str) -> str:
    """The id of a job of which there is one event to be told."""
    job_id = order(ports, url)
    ports.ledger.steer(job_id, "cancel")
    return job_id


def due(postman: Postman) -> Letter:
    """The next event, as soon as its pause is over."""
    deadline = time.monotonic() + 20
    while (letter := postman.take()) is None:
        assert time.monotonic() < deadline, "nothing is due"
    return letter


def deliver(postman: Postman) -> None:
    postman.deliver(due(postman))


def told(receiver: Serving) -> list[tuple[str, str]]:
    """The id and type of all that was received."""
    return [(headers["webhook-id"], json.loads(body)["type"]) for _, _, headers, body in receiver.seen]


@contextmanager
def serving_post(postman: Postman) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=postman.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
