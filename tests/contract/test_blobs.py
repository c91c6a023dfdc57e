"""The guarantees of every blob store, tested on each; keys and URLs."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fixtures.blobs import keys

from shared.errors import BlobMissing
from shared.storage import BlobStore, LocalBlobStore, MemoryBlobStore, S3Options, factory, open_blob_store
from shared.storage.blob_store import is_key
from shared.storage.s3 import S3BlobStore

# Every store.


def test_get_returns_what_was_put(blobs: BlobStore) -> None:
    blobs.put("inputs/abc", b"\x00\xffbytes", content_type="image/png")
    assert blobs.get("inputs/abc") == b"\x00\xffbytes"


def test_parts_become_one_blob_in_their_order(blobs: BlobStore) -> None:
    blobs.put("a", b"first ", memoryview(b"second "), b"", b"third")
    assert blobs.get("a") == b"first second third"
    blobs.put("a")
    assert blobs.get("a") == b""


def test_an_empty_blob_is_a_blob(blobs: BlobStore) -> None:
    blobs.put("empty", b"")
    assert blobs.get("empty") == b""
    assert [blob.size for blob in blobs.list()] == [0]


def test_a_later_put_replaces_the_whole_blob(blobs: BlobStore) -> None:
    blobs.put("a", b"a long first value")
    blobs.put("a", b"short")
    assert blobs.get("a") == b"short"


def test_a_blob_of_many_megabytes_survives(blobs: BlobStore) -> None:
    data = bytes(range(256)) * 40_000
    blobs.put("jobs/1/checkpoints/t-5", data)
    assert blobs.get("jobs/1/checkpoints/t-5") == data


def test_a_missing_blob_raises_blob_missing(blobs: BlobStore) -> None:
    with pytest.raises(BlobMissing, match="inputs/none"):
        blobs.get("inputs/none")


def test_a_folder_is_not_a_blob(blobs: BlobStore) -> None:
    blobs.put("inputs/abc", b"x")
    assert not blobs.exists("inputs")
    with pytest.raises(BlobMissing):
        blobs.get("inputs")


def test_exists_follows_put_and_delete(blobs: BlobStore) -> None:
    seen = [blobs.exists("a/b")]
    blobs.put("a/b", b"x")
    seen.append(blobs.exists("a/b"))
    blobs.delete("a/b")
    assert [*seen, blobs.exists("a/b")] == [False, True, False]


def test_deleting_twice_is_not_an_error_and_keeps_other_blobs(blobs: BlobStore) -> None:
    blobs.put("jobs/1/a", b"x")
    blobs.put("jobs/2/a", b"x")
    blobs.delete("jobs/1/a")
    blobs.delete("jobs/1/a")
    blobs.delete("jobs/2")
    assert keys(blobs) == ["jobs/2/a"]


def test_a_deleted_blob_can_be_put_again(blobs: BlobStore) -> None:
    blobs.put("jobs/1/a", b"x")
    blobs.delete("jobs/1/a")
    blobs.put("jobs/1/a", b"y")
    assert blobs.get("jobs/1/a") == b"y"


def test_a_listing_is_sorted_by_key_across_folders_and_pages(blobs: BlobStore) -> None:
    names = ["jobs/1/z", "jobs/1-x/a", "jobs/1.x", "jobs/10/a", "jobs/1_/a", "jobs/2/b/c", "Jobs/1", "ledger.json"]
    for name in names:
        blobs.put(name, b"x")
    assert keys(blobs) == sorted(names)


def test_a_prefix_is_compared_by_character(blobs: BlobStore) -> None:
    for name in ("jobs/1/a", "jobs/1/b/c", "jobs/10/a", "jobs/2/a", "jobs1"):
        blobs.put(name, b"x")
    assert keys(blobs, "jobs/1") == ["jobs/1/a", "jobs/1/b/c", "jobs/10/a"]
    assert keys(blobs, "jobs/1/") == ["jobs/1/a", "jobs/1/b/c"]
    assert keys(blobs, "jobs/1/b/c") == ["jobs/1/b/c"]
    assert keys(blobs, "nothing/here") == []


def test_a_listing_has_sizes_and_times(blobs: BlobStore) -> None:
    before = time.time()
    blobs.put("a", b"12345")
    (blob,) = blobs.list()
    assert (blob.key, blob.size) == ("a", 5)
    assert before - 2 <= blob.modified <= time.time() + 2  # S3 reports whole seconds


def test_blobs_may_be_deleted_while_they_are_listed(blobs: BlobStore) -> None:
    for number in range(8):
        blobs.put(f"jobs/{number}/a", b"x")
    for blob in blobs.list("jobs/"):
        blobs.delete(blob.key)
    assert keys(blobs) == []


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", ".a", "a b", "a\n", "ä", "a\\b", "a\0b"]
)
def test_an_invalid_key_is_rejected(blobs: BlobStore, key: str) -> None:
    acts = (lambda: blobs.put(key, b"x"), lambda: blobs.get(key), lambda: blobs.exists(key), lambda: blobs.delete(key))
    for act in acts:
        with pytest.raises(ValueError, match="is not a blob key"):
            act()


@pytest.mark.parametrize("prefix", ["/", "../", ".incoming", "a//", "a b"])
def test_an_invalid_prefix_is_rejected_at_once(blobs: BlobStore, prefix: str) -> None:
    with pytest.raises(ValueError, match="no blob key starts"):
        blobs.list(prefix)


def test_one_of_concurrent_writers_wins_with_its_whole_blob(blobs: BlobStore) -> None:
    values = [bytes([65 + number]) * 50_000 for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda value: blobs.put("a/b", value), values))
    assert blobs.get("a/b") in values


def test_a_reader_never_sees_half_a_blob(blobs: BlobStore) -> None:
    values = [b"a" * 200_000, b"b" * 100_000]
    blobs.put("a", values[0])
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(lambda: [blobs.put("a", values[number % 2]) for number in range(10)])
        while not writing.done():
            assert blobs.get("a") in values
        writing.result()


def test_a_working_store_passes_its_check(blobs: BlobStore) -> None:
    blobs.check()
    assert keys(blobs) == []


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # some thread of a library may be about
def test_a_forked_child_can_use_its_parents_store(blobs: BlobStore) -> None:
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
def test_a_directory_behaves_like_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes]
) -> None:
    content = {key: data for key, data in content.items() if not any(other.startswith(f"{key}/") for other in content)}
    local, memory = LocalBlobStore(tmp_path_factory.mktemp("agree")), MemoryBlobStore()
    for key, data in content.items():
        local.put(key, data)
        memory.put(key, data)
    for prefix in ("", "a", "a/", "b", "ab/a"):
        assert keys(local, prefix) == keys(memory, prefix)


def test_a_url_opens_its_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_blob_store("file:var/blobs").put("a", b"relative")
    assert open_blob_store(f"file://{tmp_path}/var/blobs").get("a") == b"relative"
    assert not open_blob_store("memory:").exists("a")
    assert isinstance(factory._open("s3://bucket/some/prefix", None), S3BlobStore)


@pytest.mark.parametrize(
    "url", ["", "var/blobs", "file:", "file://host/a", "s3:", "s3:///a", "https://a/b", "memory:x"]
)
def test_an_unknown_url_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match="use file:///folder"):
        open_blob_store(url)


def test_an_endpoint_without_a_scheme_is_rejected() -> None:
    with pytest.raises(ValueError, match="must start with http"):
        S3Options(endpoint="127.0.0.1:9000")
