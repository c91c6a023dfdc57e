"""The blob store in a directory: disk errors and symbolic links."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.fixtures.blobs import keys

from shared.errors import StorageUnavailable
from shared.storage import LocalBlobStore

WRITE_TOO_MUCH = """
import resource, signal, sys
from pathlib import Path
from shared.storage import LocalBlobStore
from shared.errors import StorageUnavailable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    LocalBlobStore(Path(sys.argv[1])).put("a", b"x" * 5000)
except StorageUnavailable as error:
    print(type(error.__cause__).__name__, error)
"""


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if not path.is_dir()]


def test_a_full_disk_keeps_the_old_blob_and_nothing_of_the_new(tmp_path: Path) -> None:
    blobs = LocalBlobStore(tmp_path)
    blobs.put("a", b"old")
    done = subprocess.run([sys.executable, "-c", WRITE_TOO_MUCH, tmp_path], capture_output=True, text=True, check=True)
    assert "OSError" in done.stdout
    assert "File too large" in done.stdout
    assert blobs.get("a") == b"old"
    assert files(tmp_path) == [tmp_path / "a"]


def test_a_folder_that_cannot_be_created_raises_storage_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    blobs = LocalBlobStore(tmp_path / "file" / "blobs")
    for call in (blobs.check, lambda: blobs.put("a", b"x")):
        with pytest.raises(StorageUnavailable) as caught:
            call()
        assert isinstance(caught.value.__cause__, OSError)


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "secret").write_text("secret")
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    blobs = LocalBlobStore(root)
    for call in (lambda: blobs.get("file"), lambda: blobs.get("folder/secret"), lambda: blobs.put("folder/new", b"x")):
        with pytest.raises(StorageUnavailable, match="symbolic link"):
            call()
    assert keys(blobs) == []
    assert files(outside) == [outside / "secret"]


def test_the_store_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    LocalBlobStore(tmp_path / "link").put("a/b", b"x")
    assert LocalBlobStore(tmp_path / "disk").get("a/b") == b"x"


def test_a_directory_listing_skips_other_files(tmp_path: Path) -> None:
    for name in (".hidden", "not a key.txt", "blob"):
        (tmp_path / name).write_text("x")
    assert keys(LocalBlobStore(tmp_path)) == ["blob"]


def test_empty_folders_are_removed_even_during_concurrent_writes(tmp_path: Path) -> None:
    blobs = LocalBlobStore(tmp_path)

    def put_and_delete(number: int) -> None:
        for _ in range(30):
            blobs.put(f"jobs/1/{number}", b"x")
            blobs.delete(f"jobs/1/{number}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(put_and_delete, range(4)))
    assert [path.name for path in tmp_path.iterdir()] == [".incoming"]


def test_the_check_deletes_partial_files_older_than_a_day(tmp_path: Path) -> None:
    blobs = LocalBlobStore(tmp_path)
    blobs.check()
    for name, age in (("fresh", 60), ("stale", 100_000)):
        part = tmp_path / ".incoming" / name
        part.write_bytes(b"half a bl")
        os.utime(part, (time.time() - age, time.time() - age))
    blobs.check()
    assert [path.name for path in files(tmp_path)] == ["fresh"]
