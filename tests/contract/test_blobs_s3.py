"""The blob store in an S3 bucket: failures of server and network."""

import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from support.fixtures.blobs import keys
from support.fixtures.s3 import S3Server

from shared.errors import StorageUnavailable
from shared.storage import LONG_TIMEOUTS, SHORT_TIMEOUTS, BlobStore, S3Options, Timeouts
from shared.storage.s3 import S3BlobStore

QUICK = Timeouts(connect=0.3, read=0.3, attempts=1)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        listening.settimeout(0)
        yield listening


def at_port(port: int, timeouts: Timeouts = QUICK) -> S3BlobStore:
    options = S3Options(f"http://127.0.0.1:{port}", access_key="a", secret_key="b", timeouts=timeouts)  # noqa: S106
    return S3BlobStore("bucket", options=options)


def assert_every_call_raises(blobs: BlobStore, message: str) -> None:
    for call in (
        lambda: blobs.put("a", b"x"),
        lambda: blobs.get("a"),
        lambda: blobs.exists("a"),
        lambda: blobs.delete("a"),
        lambda: keys(blobs),
        blobs.check,
    ):
        with pytest.raises(StorageUnavailable, match=message) as caught:
            call()
        assert caught.value.__cause__ is not None


def test_a_server_that_is_down_raises_storage_unavailable(silent: socket.socket) -> None:
    port = silent.getsockname()[1]
    silent.close()
    assert_every_call_raises(at_port(port), "not reachable")


def test_a_silent_server_raises_storage_unavailable(silent: socket.socket) -> None:
    assert_every_call_raises(at_port(silent.getsockname()[1]), "not reachable")


def test_a_silent_server_is_tried_as_often_as_configured(silent: socket.socket) -> None:
    blobs = at_port(silent.getsockname()[1], Timeouts(connect=0.1, read=0.1, attempts=2))
    with pytest.raises(StorageUnavailable):
        blobs.check()
    for _ in range(2):
        silent.accept()[0].close()
    with pytest.raises(BlockingIOError):
        silent.accept()


def test_an_upload_does_not_wait_for_100_continue(silent: socket.socket) -> None:
    with pytest.raises(StorageUnavailable):
        at_port(silent.getsockname()[1]).put("a", b"the body")
    with silent.accept()[0] as connection:
        request = connection.recv(65_536)
    assert b"\r\nExpect:" not in request
    assert request.endswith(b"the body")


def test_short_timeouts_are_under_three_seconds() -> None:
    assert (SHORT_TIMEOUTS.connect + SHORT_TIMEOUTS.read) * SHORT_TIMEOUTS.attempts < 3


def test_a_truncated_response_raises_storage_unavailable() -> None:
    def send_half(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=send_half, args=[listening])
        server.start()
        with pytest.raises(StorageUnavailable):
            at_port(listening.getsockname()[1]).get("a")
        server.join()


def test_a_wrong_secret_raises_storage_unavailable(s3_server: S3Server) -> None:
    wrong = replace(s3_server.options(), secret_key="wrong")  # noqa: S106 - not a secret
    blobs = S3BlobStore(s3_server.bucket, options=wrong)
    with pytest.raises(StorageUnavailable, match="SignatureDoesNotMatch"):
        blobs.put("a", b"x")
    assert_every_call_raises(blobs, "rejected")


def test_a_missing_bucket_raises_storage_unavailable(s3_server: S3Server) -> None:
    assert_every_call_raises(S3BlobStore("no-such-bucket", options=s3_server.options()), "bucket")


def test_missing_credentials_raise_storage_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StorageUnavailable, match="credentials"):
        S3BlobStore("bucket", options=S3Options(endpoint="http://127.0.0.1:1", timeouts=QUICK)).check()


def test_prefixes_of_one_bucket_are_isolated(s3_server: S3Server) -> None:
    one, other = (
        S3BlobStore(s3_server.bucket, prefix=prefix, options=s3_server.options()) for prefix in ("one", "one-b")
    )
    one.put("a", b"1")
    other.put("a", b"2")
    assert (one.get("a"), other.get("a"), keys(one), keys(other)) == (b"1", b"2", ["a"], ["a"])


def test_a_bucket_listing_skips_other_objects(s3_server: S3Server) -> None:
    blobs = S3BlobStore(s3_server.bucket, prefix="browsed", options=s3_server.options())
    blobs._client().put_object(Bucket=s3_server.bucket, Key="browsed/folder/", Body=b"")  # as web consoles do
    blobs.put("folder/a", b"x")
    assert keys(blobs) == ["folder/a"]


def test_threads_that_race_for_the_first_client_all_succeed(s3_server: S3Server) -> None:
    blobs = S3BlobStore(s3_server.bucket, prefix="threads", options=s3_server.options(LONG_TIMEOUTS))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: blobs.put(f"n/{number}", b"x"), range(8)))
    assert len(keys(blobs)) == 8
