"""A blob store in a directory."""

import errno
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import BlobMissing, StorageUnavailable
from shared.storage.blob_store import Blob, checked_key, checked_prefix, is_key


class LocalBlobStore:
    """Writes a blob under `.incoming`, makes it durable, then renames it into place. Never follows symbolic links."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._incoming = self._root / ".incoming"

    def put(self, key: str, *parts: bytes | memoryview, content_type: str = "application/octet-stream") -> None:  # noqa: ARG002
        """See BlobStore. Ignores the content type."""
        with _translate_errors():
            path = self._place(checked_key(key))
            _make_folder(self._incoming)
            part = self._incoming / uuid.uuid4().hex
            try:
                _write_durably(part, parts)
                _move(part, path)
            finally:
                part.unlink(missing_ok=True)

    def get(self, key: str) -> bytes:
        """See BlobStore."""
        with _translate_errors():
            try:
                with open(self._place(checked_key(key)), "rb", opener=_open_no_follow) as file:
                    return file.read()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                if self._root.exists() and not self._root.is_dir():
                    raise
                raise BlobMissing(f"There is no blob {key}.") from error

    def exists(self, key: str) -> bool:
        """See BlobStore."""
        with _translate_errors():
            return self._place(checked_key(key)).is_file()

    def delete(self, key: str) -> None:
        """See BlobStore. Also removes folders that become empty."""
        with _translate_errors():
            path = self._place(checked_key(key))
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()
            with suppress(OSError):  # stops at the first folder that is not empty
                for folder in path.parents[: key.count("/")]:
                    folder.rmdir()

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """See BlobStore. Blobs written during the listing may or may not be in it."""
        folder, slash, _ = checked_prefix(prefix).rpartition("/")
        return _walk(self._place(folder), folder + slash, prefix)

    def check(self) -> None:
        """See BlobStore. Writes and removes a byte, and removes partial files that a crash left over a day ago."""
        with _translate_errors():
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
        # Not resolve(), which raises on symlink loops.
        if Path(os.path.realpath(path)) != Path(os.path.realpath(self._root)) / relative:
            raise StorageUnavailable(f"The path {path} contains a symbolic link; remove it.")
        return path


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"The blob folder is not usable ({error}); check its disk and permissions.") from error


def _open_no_follow(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _write_durably(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    with path.open("xb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def _move(part: Path, path: Path) -> None:
    """Rename; retry if a concurrent `delete` removed the folder between its creation and the rename."""
    for _ in range(20):
        with suppress(FileNotFoundError):
            _make_folder(path.parent)
            part.replace(path)
            break
    else:
        raise OSError(errno.ENOENT, "the folder keeps disappearing", str(path.parent))
    with suppress(FileNotFoundError):  # removed by a concurrent `delete`
        _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    """Create the folder and its parents, each made durable in its own parent."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    # Not exist_ok: it checks is_dir() afterwards, when a concurrent `delete` may have removed the folder.
    with suppress(FileExistsError):
        folder.mkdir()
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _walk(folder: Path, key_prefix: str, prefix: str) -> Iterator[Blob]:
    """Iterate depth first in key order: a folder sorts by its name plus a slash."""
    for entry in _entries(folder):
        key = key_prefix + entry.name
        if not key.startswith(prefix) or not is_key(key):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{key}/", prefix)
        elif entry.is_file(follow_symlinks=False):
            with suppress(FileNotFoundError):  # deleted meanwhile
                stat = entry.stat(follow_symlinks=False)
                yield Blob(key, stat.st_size, stat.st_mtime)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with _translate_errors(), suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name + "/" * entry.is_dir(follow_symlinks=False))
    return []
