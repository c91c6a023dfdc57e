"""Blobs in a directory."""

import errno
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import BlobMissing, BlobsUnavailable
from shared.storage.blob_store import Blob, checked_key, checked_prefix, is_key


class LocalBlobStore:
    """A directory. A blob is written beside the others under `.incoming`, made durable, then renamed into place.

    A symbolic link is never followed: not to a blob, and not to a folder outside.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._incoming = self._root / ".incoming"

    def put(self, key: str, *parts: bytes | memoryview, content_type: str = "application/octet-stream") -> None:  # noqa: ARG002
        """As Blobs says; a directory keeps no content types."""
        with _disk():
            path = self._place(checked_key(key))
            _make_folder(self._incoming)
            part = self._incoming / uuid.uuid4().hex
            try:
                _write_durably(part, parts)
                _move(part, path)
            finally:
                part.unlink(missing_ok=True)

    def get(self, key: str) -> bytes:
        """As Blobs says."""
        with _disk():
            try:
                with open(self._place(checked_key(key)), "rb", opener=_no_link) as file:
                    return file.read()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                if self._root.exists() and not self._root.is_dir():
                    raise
                raise BlobMissing(f"There is no blob {key}.") from error

    def exists(self, key: str) -> bool:
        """As Blobs says."""
        with _disk():
            return self._place(checked_key(key)).is_file()

    def delete(self, key: str) -> None:
        """As Blobs says. Folders that become empty go, too."""
        with _disk():
            path = self._place(checked_key(key))
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()
            with suppress(OSError):  # the first folder that still holds something ends the climb
                for folder in path.parents[: key.count("/")]:
                    folder.rmdir()

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """As Blobs says; what is written while the listing runs may or may not be in it."""
        folder, slash, _ = checked_prefix(prefix).rpartition("/")
        return _walk(self._place(folder), folder + slash, prefix)

    def check(self) -> None:
        """As Blobs says: writes a byte and removes it, with whatever a crash left half written a day ago."""
        with _disk():
            _make_folder(self._incoming)
            probe = self._incoming / uuid.uuid4().hex
            try:
                _write_durably(probe, [b"?"])
            finally:
                probe.unlink(missing_ok=True)
            for part in self._incoming.iterdir():
                if part.stat().st_mtime < time.time() - 86_400:
                    part.unlink(missing_ok=True)

    def _place(self, relative: str) -> Path:
        path = self._root / relative
        if Path(os.path.realpath(path)) != Path(os.path.realpath(self._root)) / relative:  # resolve() dislikes loops
            raise BlobsUnavailable(f"The way to {path} leads through a symbolic link; remove it.")
        return path


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BlobsUnavailable(f"The blob folder cannot be used ({error}); see to its disk and rights.") from error


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _write_durably(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    with path.open("xb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def _move(part: Path, path: Path) -> None:
    """Rename. A `delete` may take the folder away between its making and the rename: then try again."""
    for _ in range(20):
        with suppress(FileNotFoundError):
            _make_folder(path.parent)
            part.replace(path)
            break
    else:
        raise OSError(errno.ENOENT, "the folder vanishes again and again", str(path.parent))
    with suppress(FileNotFoundError):  # a `delete` came right behind
        _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    """With all its parents, each made durable in the one above."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):  # not exist_ok: it asks is_dir() afterwards, when a `delete` may have been there
        folder.mkdir()
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _walk(folder: Path, above: str, prefix: str) -> Iterator[Blob]:
    """Depth first, in the order of the keys: a folder sorts as its name with a slash behind."""
    for entry in _entries(folder):
        key = above + entry.name
        if not key.startswith(prefix) or not is_key(key):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{key}/", prefix)
        elif entry.is_file(follow_symlinks=False):
            with suppress(FileNotFoundError):  # deleted since
                found = entry.stat(follow_symlinks=False)
                yield Blob(key, found.st_size, found.st_mtime)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with _disk(), suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name + "/" * entry.is_dir(follow_symlinks=False))
    return []
