"""The chaos run's proxies, between real clients and real servers."""

import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
import redis
from chaos.stack.proxies import Proxy, S3Proxy
from support.fixtures.s3 import S3Server

from deploy.local.stack import free_port
from shared.errors import BlobMissing, StorageUnavailable
from shared.ledger.ledger import connect
from shared.storage import Timeouts
from shared.storage.s3 import S3BlobStore

GENEROUS = Timeouts(connect=10, read=60, attempts=1)
IMPATIENT = Timeouts(connect=10, read=0.3, attempts=1)
RETRYING = Timeouts(connect=10, read=60, attempts=6)
BIG = bytes(range(256)) * 100_000


@pytest.fixture
def proxy(valkey_url: str) -> Iterator[Proxy]:
    proxy = Proxy(("127.0.0.1", urlsplit(valkey_url).port or 0))
    yield proxy
    proxy.close()


@pytest.fixture
def s3_proxy(s3_server: S3Server) -> Iterator[S3Proxy]:
    proxy = S3Proxy(("127.0.0.1", urlsplit(s3_server.endpoint).port or 0))
    yield proxy
    proxy.close()


def client(proxy: Proxy, timeout: float = 60) -> redis.Redis:
    return connect(f"redis://127.0.0.1:{proxy.port}/0", timeout=timeout)


def connection(proxy: Proxy, timeout: float = 60) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout)


def blobs(server: S3Server, proxy: S3Proxy, timeouts: Timeouts = GENEROUS) -> S3BlobStore:
    options = replace(server.options(timeouts), endpoint=f"http://127.0.0.1:{proxy.port}")
    return S3BlobStore(server.bucket, prefix=f"proxies/{proxy.port}", options=options)


def test_an_open_proxy_forwards_bytes_in_both_directions(proxy: Proxy) -> None:
    with client(proxy) as redis_client:
        redis_client.set("a", BIG.hex())
        assert redis_client.get("a") == BIG.hex()


def test_a_client_that_half_closes_still_gets_the_response(proxy: Proxy) -> None:
    with connection(proxy) as connected:
        connected.sendall(b"PING\r\nQUIT\r\n")
        connected.shutdown(socket.SHUT_WR)
        assert connected.makefile("rb").read() == b"+PONG\r\n+OK\r\n"


def test_a_proxy_that_goes_down_resets_open_and_new_connections(proxy: Proxy) -> None:
    with connection(proxy) as connected, client(proxy) as redis_client:
        connected.sendall(b"PING\r\n")
        assert connected.recv(99) == b"+PONG\r\n"
        proxy.set("down")
        with pytest.raises(ConnectionResetError):
            connected.recv(99)
        with pytest.raises(redis.ConnectionError):
            redis_client.ping()
        proxy.set("open")
        assert redis_client.ping()


def test_a_silent_proxy_forwards_nothing_on_old_and_new_connections(proxy: Proxy) -> None:
    with connection(proxy) as old, client(proxy, timeout=0.2) as new:
        old.sendall(b"PING\r\n")
        assert old.recv(99) == b"+PONG\r\n"
        proxy.set("silent")
        old.sendall(b"PING\r\n")
        old.settimeout(0.2)
        with pytest.raises(TimeoutError):
            old.recv(99)
        with pytest.raises(redis.TimeoutError):
            new.ping()


def test_bytes_sent_during_a_silence_are_never_delivered(proxy: Proxy, valkey_url: str) -> None:
    with connection(proxy) as old:
        old.sendall(b"PING\r\n")
        assert old.recv(99) == b"+PONG\r\n"
        proxy.set("silent")
        with connection(proxy) as new:
            for connected, key in ((old, b"old"), (new, b"new")):
                connected.sendall(b"SET " + key + b" 1\r\n")
            old.settimeout(0.2)
            with pytest.raises(TimeoutError):
                old.recv(99)
            old.settimeout(60)
            proxy.set("open")
            for connected in (old, new):
                with pytest.raises(ConnectionResetError):
                    connected.recv(99)
    with client(proxy) as redis_client, connect(valkey_url) as direct_client:
        assert redis_client.ping()
        assert direct_client.dbsize() == 0


def test_a_silence_can_begin_in_the_middle_of_a_response(proxy: Proxy, valkey_url: str) -> None:
    with connect(valkey_url) as direct_client:
        direct_client.set("a", BIG)
    with connection(proxy) as connected:
        connected.sendall(b"GET a\r\n")
        received = len(connected.recv(1 << 16))
        proxy.set("silent")
        connected.settimeout(0.5)
        with suppress(TimeoutError):
            while more := connected.recv(1 << 20):
                received += len(more)
    assert received < len(BIG) / 2  # no more than the sockets' buffers held


def test_a_silence_can_end_in_a_reset(proxy: Proxy) -> None:
    with connection(proxy) as connected:
        proxy.set("silent")
        proxy.set("down")
        with pytest.raises(ConnectionResetError):
            connected.recv(99)


def test_a_proxy_to_a_closed_port_resets_connections() -> None:
    nowhere = Proxy(("127.0.0.1", free_port()))
    with pytest.raises(ConnectionResetError), connection(nowhere) as connected:  # the reset can come while it connects
        connected.recv(99)
    nowhere.close()


def test_a_closed_proxy_refuses_connections(valkey_url: str) -> None:
    proxy = Proxy(("127.0.0.1", urlsplit(valkey_url).port or 0))
    with connection(proxy) as connected:
        proxy.close()
        with pytest.raises(ConnectionResetError):
            connected.recv(99)
    with pytest.raises(ConnectionRefusedError):
        connection(proxy)


def test_an_open_s3_proxy_forwards_every_kind_of_request(s3_server: S3Server, s3_proxy: S3Proxy) -> None:
    store = blobs(s3_server, s3_proxy)
    store.put("a/big", BIG)
    store.put("a/empty", b"")
    assert (store.get("a/big"), store.get("a/empty")) == (BIG, b"")
    assert store.exists("a/big")
    assert [blob.key for blob in store.list("a/")] == ["a/big", "a/empty"]
    store.delete("a/big")
    assert not store.exists("a/big")
    with pytest.raises(BlobMissing):
        store.get("a/big")


def test_every_third_request_is_refused_and_retries_succeed(s3_server: S3Server, s3_proxy: S3Proxy) -> None:
    once, retrying = blobs(s3_server, s3_proxy), blobs(s3_server, s3_proxy, RETRYING)
    s3_proxy.set("refuse_third")
    once.put("a", b"1")
    once.put("b", b"2")
    with pytest.raises(StorageUnavailable, match="SlowDown"):
        once.put("c", BIG)
    for key in "def":
        retrying.put(key, BIG)
        assert retrying.exists(key)
    assert [blob.key for blob in retrying.list()] == ["a", "b", "d", "e", "f"]


def test_a_slow_proxy_delays_every_request(s3_server: S3Server, s3_proxy: S3Proxy) -> None:
    store, impatient = blobs(s3_server, s3_proxy), blobs(s3_server, s3_proxy, IMPATIENT)
    store.put("a", b"1")
    s3_proxy.set("slow")
    s3_proxy.delay = 60
    with pytest.raises(StorageUnavailable):
        impatient.get("a")
    s3_proxy.delay = 0.01
    assert store.get("a") == b"1"


@pytest.mark.parametrize("mode", ["down", "silent"])
def test_a_store_works_again_after_an_outage(s3_server: S3Server, s3_proxy: S3Proxy, mode: str) -> None:
    store, impatient = blobs(s3_server, s3_proxy), blobs(s3_server, s3_proxy, IMPATIENT)
    store.put("a", b"1")
    s3_proxy.set("down" if mode == "down" else "silent")
    with pytest.raises(StorageUnavailable):
        impatient.get("a")
    s3_proxy.set("open")
    assert store.get("a") == b"1"


def test_a_chunked_request_counts_as_one_request(s3_proxy: S3Proxy) -> None:
    s3_proxy.set("refuse_third")
    statuses = []
    with closing(HTTPConnection("127.0.0.1", s3_proxy.port, timeout=60)) as connected:
        for _ in range(4):
            connected.request("POST", "/none", body=iter([b"503" * 9, b"\r\n0\r\n\r\n"]), encode_chunked=True)
            with connected.getresponse() as response:
                statuses.append(response.status)
                response.read()
    assert [status == 503 for status in statuses] == [False, False, True, False]
