"""What every blob store promises, over each of them; then what only one can break."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures_s3 import S3Server
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.blobs import HASTY, PATIENT, Blobs, LocalBlobs, MemoryBlobs, Patience, S3Options, open_blobs
from shared.blobs.contract import is_key
from shared.blobs.s3 import S3Blobs
from shared.errors import BlobMissing, BlobsUnavailable


@pytest.fixture(params=["memory", "local", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "memory":
        return MemoryBlobs()
    if request.param == "local":
        return LocalBlobs(tmp_path / "blobs")
    server: S3Server = request.getfixturevalue("s3_server")
    return S3Blobs(server.bucket, prefix=f"tests/{tmp_path.name}", options=server.options(PATIENT), page=3)


def keys(blobs: Blobs, prefix: str = "") -> list[str]:
    return [blob.key for blob in blobs.list(prefix)]


# Every store.


def test_what_was_put_is_got(blobs: Blobs) -> None:
    blobs.put("inputs/abc", b"\x00\xffbytes", content_type="image/png")
    assert blobs.get("inputs/abc") == b"\x00\xffbytes"


def test_an_empty_blob_is_a_blob(blobs: Blobs) -> None:
    blobs.put("empty", b"")
    assert blobs.get("empty") == b""
    assert [blob.size for blob in blobs.list()] == [0]


def test_a_later_put_replaces_the_whole_blob(blobs: Blobs) -> None:
    blobs.put("a", b"a long first value")
    blobs.put("a", b"short")
    assert blobs.get("a") == b"short"


def test_a_blob_of_many_megabytes_survives(blobs: Blobs) -> None:
    data = bytes(range(256)) * 40_000
    blobs.put("jobs/1/checkpoints/t-5", data)
    assert blobs.get("jobs/1/checkpoints/t-5") == data


def test_a_missing_blob_is_said_to_be_missing(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing, match="inputs/none"):
        blobs.get("inputs/none")


def test_a_folder_is_no_blob(blobs: Blobs) -> None:
    blobs.put("inputs/abc", b"x")
    assert not blobs.exists("inputs")
    with pytest.raises(BlobMissing):
        blobs.get("inputs")


def test_exists_follows_put_and_delete(blobs: Blobs) -> None:
    seen = [blobs.exists("a/b")]
    blobs.put("a/b", b"x")
    seen.append(blobs.exists("a/b"))
    blobs.delete("a/b")
    assert [*seen, blobs.exists("a/b")] == [False, True, False]


def test_deleting_twice_is_no_error_and_spares_the_neighbours(blobs: Blobs) -> None:
    blobs.put("jobs/1/a", b"x")
    blobs.put("jobs/2/a", b"x")
    blobs.delete("jobs/1/a")
    blobs.delete("jobs/1/a")
    blobs.delete("jobs/2")
    assert keys(blobs) == ["jobs/2/a"]


def test_a_deleted_blob_can_be_put_again(blobs: Blobs) -> None:
    blobs.put("jobs/1/a", b"x")
    blobs.delete("jobs/1/a")
    blobs.put("jobs/1/a", b"y")
    assert blobs.get("jobs/1/a") == b"y"


def test_a_listing_is_sorted_by_key_across_folders_and_pages(blobs: Blobs) -> None:
    names = ["jobs/1/z", "jobs/1-x/a", "jobs/1.x", "jobs/10/a", "jobs/1_/a", "jobs/2/b/c", "Jobs/1", "ledger.json"]
    for name in names:
        blobs.put(name, b"x")
    assert keys(blobs) == sorted(names)


def test_a_prefix_is_compared_letter_by_letter(blobs: Blobs) -> None:
    for name in ("jobs/1/a", "jobs/1/b/c", "jobs/10/a", "jobs/2/a", "jobs1"):
        blobs.put(name, b"x")
    assert keys(blobs, "jobs/1") == ["jobs/1/a", "jobs/1/b/c", "jobs/10/a"]
    assert keys(blobs, "jobs/1/") == ["jobs/1/a", "jobs/1/b/c"]
    assert keys(blobs, "jobs/1/b/c") == ["jobs/1/b/c"]
    assert keys(blobs, "nothing/here") == []


def test_a_listing_tells_sizes_and_times(blobs: Blobs) -> None:
    before = time.time()
    blobs.put("a", b"12345")
    (blob,) = blobs.list()
    assert (blob.key, blob.size) == ("a", 5)
    assert before - 2 <= blob.modified <= time.time() + 2  # S3 tells whole seconds


def test_blobs_may_be_deleted_while_they_are_listed(blobs: Blobs) -> None:
    for number in range(8):
        blobs.put(f"jobs/{number}/a", b"x")
    for blob in blobs.list("jobs/"):
        blobs.delete(blob.key)
    assert keys(blobs) == []


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", ".a", "a b", "a\n", "ä", "a\\b", "a\0b"]
)
def test_what_is_no_key_is_refused(blobs: Blobs, key: str) -> None:
    acts = (lambda: blobs.put(key, b"x"), lambda: blobs.get(key), lambda: blobs.exists(key), lambda: blobs.delete(key))
    for act in acts:
        with pytest.raises(ValueError, match="is no blob key"):
            act()


@pytest.mark.parametrize("prefix", ["/", "../", ".incoming", "a//", "a b"])
def test_what_no_key_starts_with_is_refused_at_once(blobs: Blobs, prefix: str) -> None:
    with pytest.raises(ValueError, match="no blob key starts"):
        blobs.list(prefix)


def test_of_writers_at_once_one_wins_whole(blobs: Blobs) -> None:
    values = [bytes([65 + number]) * 50_000 for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda value: blobs.put("a/b", value), values))
    assert blobs.get("a/b") in values


def test_a_reader_never_sees_half_a_blob(blobs: Blobs) -> None:
    values = [b"a" * 200_000, b"b" * 100_000]
    blobs.put("a", values[0])
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(lambda: [blobs.put("a", values[number % 2]) for number in range(10)])
        while not writing.done():
            assert blobs.get("a") in values
        writing.result()


def test_a_store_that_works_passes_its_check(blobs: Blobs) -> None:
    blobs.check()
    assert keys(blobs) == []


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # some thread of a library may be about
def test_a_forked_child_can_use_the_store_its_parent_opened(blobs: Blobs) -> None:
    blobs.put("a", b"from the parent")
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        status = 1
        try:
            status = 0 if blobs.get("a") == b"from the parent" else 2
        finally:
            os._exit(status)
    assert blobs.get("a") == b"from the parent"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# Keys and addresses.


@given(st.text(max_size=30))
def test_a_key_never_leaves_its_folder(text: str) -> None:
    if is_key(text):
        assert all(part and not part.startswith(".") for part in text.split("/"))
        assert text.isascii()


@settings(max_examples=25)
@given(
    st.dictionaries(
        st.from_regex(r"(?:[ab._-]{1,2}/){0,2}[ab]{1,2}", fullmatch=True).filter(is_key), st.binary(max_size=4)
    )
)
def test_the_directory_agrees_with_the_dictionary(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes]
) -> None:
    content = {key: data for key, data in content.items() if not any(other.startswith(f"{key}/") for other in content)}
    local, memory = LocalBlobs(tmp_path_factory.mktemp("agree")), MemoryBlobs()
    for key, data in content.items():
        local.put(key, data)
        memory.put(key, data)
    for prefix in ("", "a", "a/", "b", "ab/a"):
        assert keys(local, prefix) == keys(memory, prefix)


def test_an_address_opens_its_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_blobs("file:var/blobs").put("a", b"relative")
    assert open_blobs(f"file://{tmp_path}/var/blobs").get("a") == b"relative"
    assert isinstance(open_blobs("memory:"), MemoryBlobs)
    assert isinstance(open_blobs("s3://bucket/some/prefix"), S3Blobs)


@pytest.mark.parametrize(
    "url", ["", "var/blobs", "file:", "file://host/a", "s3:", "s3:///a", "https://a/b", "memory:x"]
)
def test_an_address_of_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="use file:///folder"):
        open_blobs(url)


def test_an_endpoint_without_a_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="must start with http"):
        S3Options(endpoint="127.0.0.1:9000")


# A directory and its disk.

TOO_MUCH = """
import resource, signal, sys
from pathlib import Path
from shared.blobs import LocalBlobs
from shared.errors import BlobsUnavailable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    LocalBlobs(Path(sys.argv[1])).put("a", b"x" * 5000)
except BlobsUnavailable as error:
    print(type(error.__cause__).__name__, error)
"""


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if not path.is_dir()]


def test_a_disk_that_is_full_keeps_the_old_blob_and_nothing_of_the_new(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    blobs.put("a", b"old")
    done = subprocess.run([sys.executable, "-c", TOO_MUCH, tmp_path], capture_output=True, text=True, check=True)
    assert "OSError" in done.stdout
    assert "File too large" in done.stdout
    assert blobs.get("a") == b"old"
    assert files(tmp_path) == [tmp_path / "a"]


def test_a_folder_that_cannot_be_made_is_an_unavailable_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    blobs = LocalBlobs(tmp_path / "file" / "blobs")
    for act in (blobs.check, lambda: blobs.put("a", b"x")):
        with pytest.raises(BlobsUnavailable) as caught:
            act()
        assert isinstance(caught.value.__cause__, OSError)


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "secret").write_text("secret")
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    blobs = LocalBlobs(root)
    for act in (lambda: blobs.get("file"), lambda: blobs.get("folder/secret"), lambda: blobs.put("folder/new", b"x")):
        with pytest.raises(BlobsUnavailable, match="symbolic link"):
            act()
    assert keys(blobs) == []
    assert files(outside) == [outside / "secret"]


def test_the_store_itself_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    LocalBlobs(tmp_path / "link").put("a/b", b"x")
    assert LocalBlobs(tmp_path / "disk").get("a/b") == b"x"


def test_a_directory_listing_skips_what_is_no_blob(tmp_path: Path) -> None:
    for name in (".hidden", "not a key.txt", "blob"):
        (tmp_path / name).write_text("x")
    assert keys(LocalBlobs(tmp_path)) == ["blob"]


def test_emptied_folders_vanish_even_while_others_write_into_them(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)

    def put_and_delete(number: int) -> None:
        for _ in range(30):
            blobs.put(f"jobs/1/{number}", b"x")
            blobs.delete(f"jobs/1/{number}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(put_and_delete, range(4)))
    assert [path.name for path in tmp_path.iterdir()] == [".incoming"]


def test_the_check_clears_away_what_a_crash_left_a_day_ago(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    blobs.check()
    for name, age in (("fresh", 60), ("stale", 100_000)):
        part = tmp_path / ".incoming" / name
        part.write_bytes(b"half a bl")
        os.utime(part, (time.time() - age, time.time() - age))
    blobs.check()
    assert [path.name for path in files(tmp_path)] == ["fresh"]


# S3 and its network.

QUICK = Patience(connect=0.3, read=0.3, attempts=1)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        listening.settimeout(0)
        yield listening


def at_port(port: int, patience: Patience = QUICK) -> S3Blobs:
    options = S3Options(f"http://127.0.0.1:{port}", access_key="a", secret_key="b", patience=patience)  # noqa: S106
    return S3Blobs("bucket", options=options)


def assert_every_act_is_refused(blobs: Blobs, because: str) -> None:
    for act in (
        lambda: blobs.put("a", b"x"),
        lambda: blobs.get("a"),
        lambda: blobs.exists("a"),
        lambda: blobs.delete("a"),
        lambda: keys(blobs),
        blobs.check,
    ):
        with pytest.raises(BlobsUnavailable, match=because) as caught:
            act()
        assert caught.value.__cause__ is not None


def test_a_server_that_is_down_is_an_unavailable_store(silent: socket.socket) -> None:
    port = silent.getsockname()[1]
    silent.close()
    assert_every_act_is_refused(at_port(port), "cannot be reached")


def test_a_server_that_says_nothing_is_an_unavailable_store(silent: socket.socket) -> None:
    assert_every_act_is_refused(at_port(silent.getsockname()[1]), "cannot be reached")


def test_a_silent_server_is_asked_as_often_as_patience_says(silent: socket.socket) -> None:
    blobs = at_port(silent.getsockname()[1], Patience(connect=0.1, read=0.1, attempts=2))
    with pytest.raises(BlobsUnavailable):
        blobs.check()
    for _ in range(2):
        silent.accept()[0].close()
    with pytest.raises(BlockingIOError):
        silent.accept()


def test_an_upload_does_not_wait_to_be_told_to_continue(silent: socket.socket) -> None:
    with pytest.raises(BlobsUnavailable):
        at_port(silent.getsockname()[1]).put("a", b"the body")
    with silent.accept()[0] as connection:
        request = connection.recv(65_536)
    assert b"\r\nExpect:" not in request
    assert request.endswith(b"the body")


def test_somebody_who_waits_is_told_within_three_seconds() -> None:
    assert (HASTY.connect + HASTY.read) * HASTY.attempts < 3


def test_a_blob_cut_short_on_its_way_is_not_taken_for_the_whole() -> None:
    def answer_half(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=answer_half, args=[listening])
        server.start()
        with pytest.raises(BlobsUnavailable):
            at_port(listening.getsockname()[1]).get("a")
        server.join()


def test_a_wrong_secret_is_an_unavailable_store(s3_server: S3Server) -> None:
    wrong = replace(s3_server.options(), secret_key="wrong")  # noqa: S106 - that it is none is the point
    blobs = S3Blobs(s3_server.bucket, options=wrong)
    with pytest.raises(BlobsUnavailable, match="SignatureDoesNotMatch"):
        blobs.put("a", b"x")
    assert_every_act_is_refused(blobs, "refused")


def test_a_missing_bucket_is_an_unavailable_store(s3_server: S3Server) -> None:
    assert_every_act_is_refused(S3Blobs("no-such-bucket", options=s3_server.options()), "bucket")


def test_missing_credentials_are_an_unavailable_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(BlobsUnavailable, match="credentials"):
        S3Blobs("bucket", options=S3Options(endpoint="http://127.0.0.1:1", patience=QUICK)).check()


def test_prefixes_of_one_bucket_do_not_see_each_other(s3_server: S3Server) -> None:
    one, other = (S3Blobs(s3_server.bucket, prefix=prefix, options=s3_server.options()) for prefix in ("one", "one-b"))
    one.put("a", b"1")
    other.put("a", b"2")
    assert (one.get("a"), other.get("a"), keys(one), keys(other)) == (b"1", b"2", ["a"], ["a"])


def test_a_bucket_listing_skips_what_is_no_blob(s3_server: S3Server) -> None:
    blobs = S3Blobs(s3_server.bucket, prefix="browsed", options=s3_server.options())
    blobs._client().put_object(Bucket=s3_server.bucket, Key="browsed/folder/", Body=b"")  # as web consoles do
    blobs.put("folder/a", b"x")
    assert keys(blobs) == ["folder/a"]


def test_threads_that_come_first_together_all_get_through(s3_server: S3Server) -> None:
    blobs = S3Blobs(s3_server.bucket, prefix="threads", options=s3_server.options(PATIENT))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: blobs.put(f"n/{number}", b"x"), range(8)))
    assert len(keys(blobs)) == 8
