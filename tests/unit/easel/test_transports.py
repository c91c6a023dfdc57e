"""The proxies that chaos is made with, between real clients and real servers."""

import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
import redis
from chaos.wires import S3Wire, Wire
from support.fixtures.s3 import S3Server
from support.fixtures.valkey import free_port

from shared.errors import BlobMissing, BlobsUnavailable
from shared.ledger.ledger import connect
from shared.storage import Patience
from shared.storage.s3 import S3BlobStore

UNHURRIED = Patience(connect=10, read=60, attempts=1)
CURT = Patience(connect=10, read=0.3, attempts=1)
STUBBORN = Patience(connect=10, read=60, attempts=6)
BIG = bytes(range(256)) * 100_000


@pytest.fixture
def wire(valkey_url: str) -> Iterator[Wire]:
    wire = Wire(("127.0.0.1", urlsplit(valkey_url).port or 0))
    yield wire
    wire.close()


@pytest.fixture
def s3_wire(s3_server: S3Server) -> Iterator[S3Wire]:
    wire = S3Wire(("127.0.0.1", urlsplit(s3_server.endpoint).port or 0))
    yield wire
    wire.close()


def client(wire: Wire, timeout: float = 60) -> redis.Redis:
    return connect(f"redis://127.0.0.1:{wire.port}/0", timeout=timeout)


def line(wire: Wire, timeout: float = 60) -> socket.socket:
    return socket.create_connection(("127.0.0.1", wire.port), timeout=timeout)


def blobs(server: S3Server, wire: S3Wire, patience: Patience = UNHURRIED) -> S3BlobStore:
    options = replace(server.options(patience), endpoint=f"http://127.0.0.1:{wire.port}")
    return S3BlobStore(server.bucket, prefix=f"wires/{wire.port}", options=options)


def test_an_open_wire_carries_what_is_said_either_way(wire: Wire) -> None:
    with client(wire) as through:
        through.set("a", BIG.hex())
        assert through.get("a") == BIG.hex()


def test_whoever_hangs_up_after_the_last_word_still_hears_the_answer(wire: Wire) -> None:
    with line(wire) as caller:
        caller.sendall(b"PING\r\nQUIT\r\n")
        caller.shutdown(socket.SHUT_WR)
        assert caller.makefile("rb").read() == b"+PONG\r\n+OK\r\n"


def test_a_wire_that_goes_down_resets_what_is_open_and_what_comes(wire: Wire) -> None:
    with line(wire) as caller, client(wire) as through:
        caller.sendall(b"PING\r\n")
        assert caller.recv(99) == b"+PONG\r\n"
        wire.set("down")
        with pytest.raises(ConnectionResetError):
            caller.recv(99)
        with pytest.raises(redis.ConnectionError):
            through.ping()
        wire.set("open")
        assert through.ping()


def test_on_a_silent_wire_everyone_waits_in_vain(wire: Wire) -> None:
    with line(wire) as old, client(wire, timeout=0.2) as new:
        old.sendall(b"PING\r\n")
        assert old.recv(99) == b"+PONG\r\n"
        wire.set("silent")
        old.sendall(b"PING\r\n")
        old.settimeout(0.2)
        with pytest.raises(TimeoutError):
            old.recv(99)
        with pytest.raises(redis.TimeoutError):
            new.ping()


def test_what_was_said_into_a_silence_is_never_delivered(wire: Wire, valkey_url: str) -> None:
    with line(wire) as old:
        old.sendall(b"PING\r\n")
        assert old.recv(99) == b"+PONG\r\n"
        wire.set("silent")
        with line(wire) as new:
            for caller, key in ((old, b"old"), (new, b"new")):
                caller.sendall(b"SET " + key + b" 1\r\n")
            old.settimeout(0.2)
            with pytest.raises(TimeoutError):
                old.recv(99)
            old.settimeout(60)
            wire.set("open")
            for caller in (old, new):
                with pytest.raises(ConnectionResetError):
                    caller.recv(99)
    with client(wire) as through, connect(valkey_url) as direct:
        assert through.ping()
        assert direct.dbsize() == 0


def test_a_silence_begins_in_the_middle_of_an_answer(wire: Wire, valkey_url: str) -> None:
    with connect(valkey_url) as direct:
        direct.set("a", BIG)
    with line(wire) as caller:
        caller.sendall(b"GET a\r\n")
        heard = len(caller.recv(1 << 16))
        wire.set("silent")
        caller.settimeout(0.5)
        with suppress(TimeoutError):
            while more := caller.recv(1 << 20):
                heard += len(more)
    assert heard < len(BIG) / 2  # no more than what lay in the sockets' buffers


def test_a_silence_may_end_in_a_cut(wire: Wire) -> None:
    with line(wire) as caller:
        wire.set("silent")
        wire.set("down")
        with pytest.raises(ConnectionResetError):
            caller.recv(99)


def test_a_wire_to_nowhere_resets() -> None:
    nowhere = Wire(("127.0.0.1", free_port()))
    with line(nowhere) as caller, pytest.raises(ConnectionResetError):
        caller.recv(99)
    nowhere.close()


def test_a_closed_wire_is_gone(valkey_url: str) -> None:
    wire = Wire(("127.0.0.1", urlsplit(valkey_url).port or 0))
    with line(wire) as caller:
        wire.close()
        with pytest.raises(ConnectionResetError):
            caller.recv(99)
    with pytest.raises(ConnectionRefusedError):
        line(wire)


def test_an_open_wire_to_s3_carries_every_kind_of_call(s3_server: S3Server, s3_wire: S3Wire) -> None:
    store = blobs(s3_server, s3_wire)
    store.put("a/big", BIG)
    store.put("a/empty", b"")
    assert (store.get("a/big"), store.get("a/empty")) == (BIG, b"")
    assert store.exists("a/big")
    assert [blob.key for blob in store.list("a/")] == ["a/big", "a/empty"]
    store.delete("a/big")
    assert not store.exists("a/big")
    with pytest.raises(BlobMissing):
        store.get("a/big")


def test_every_third_request_is_refused_and_the_stubborn_get_through(s3_server: S3Server, s3_wire: S3Wire) -> None:
    once, stubborn = blobs(s3_server, s3_wire), blobs(s3_server, s3_wire, STUBBORN)
    s3_wire.set("third")
    once.put("a", b"1")
    once.put("b", b"2")
    with pytest.raises(BlobsUnavailable, match="SlowDown"):
        once.put("c", BIG)
    for key in "def":
        stubborn.put(key, BIG)
        assert stubborn.exists(key)
    assert [blob.key for blob in stubborn.list()] == ["a", "b", "d", "e", "f"]


def test_a_slow_store_is_slow_for_every_request(s3_server: S3Server, s3_wire: S3Wire) -> None:
    store, curt = blobs(s3_server, s3_wire), blobs(s3_server, s3_wire, CURT)
    store.put("a", b"1")
    s3_wire.set("slow")
    s3_wire.delay = 60
    with pytest.raises(BlobsUnavailable):
        curt.get("a")
    s3_wire.delay = 0.01
    assert store.get("a") == b"1"


@pytest.mark.parametrize("mode", ["down", "silent"])
def test_a_store_that_was_away_is_back(s3_server: S3Server, s3_wire: S3Wire, mode: str) -> None:
    store, curt = blobs(s3_server, s3_wire), blobs(s3_server, s3_wire, CURT)
    store.put("a", b"1")
    s3_wire.set("down" if mode == "down" else "silent")
    with pytest.raises(BlobsUnavailable):
        curt.get("a")
    s3_wire.set("open")
    assert store.get("a") == b"1"


def test_a_request_in_chunks_is_one_request(s3_wire: S3Wire) -> None:
    s3_wire.set("third")
    statuses = []
    with closing(HTTPConnection("127.0.0.1", s3_wire.port, timeout=60)) as caller:
        for _ in range(4):
            caller.request("POST", "/none", body=iter([b"503" * 9, b"\r\n0\r\n\r\n"]), encode_chunked=True)
            with caller.getresponse() as answer:
                statuses.append(answer.status)
                answer.read()
    assert [status == 503 for status in statuses] == [False, False, True, False]
