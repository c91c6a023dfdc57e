"""The interface and guarantees of every blob store.

Writes are atomic and may overwrite; of concurrent writers the last one wins. There are no conditional writes: stores
differ too much in them, and the ledger's fenced transitions decide which blobs count.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

_NAME: Final = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}"
_KEY: Final = re.compile(rf"{_NAME}(/{_NAME}){{0,9}}", re.ASCII)
_PREFIX: Final = re.compile(rf"({_NAME}/){{0,9}}({_NAME})?", re.ASCII)


@dataclass(frozen=True)
class Blob:
    """One entry of a listing."""

    key: str
    size: int  # bytes
    modified: float  # seconds since the epoch, by the store's clock


class BlobStore(Protocol):
    """Stores bytes by key. Safe to share between threads and to use after a fork.

    A key consists of names of `A-Z a-z 0-9 . _ -` joined by `/`. No name starts with a dot, and no key is a folder of
    another. Every method raises ValueError for other keys, and StorageUnavailable, with its cause, if the store fails.
    """

    def put(self, key: str, *parts: bytes | memoryview, content_type: str = "application/octet-stream") -> None:
        """Store the concatenated parts as one blob. On return it survives a crash of the store's machine."""

    def get(self, key: str) -> bytes:
        """Return the bytes. Raises BlobMissing."""

    def exists(self, key: str) -> bool:
        """Return whether the blob exists."""

    def delete(self, key: str) -> None:
        """Delete the blob; a missing key is not an error."""

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """Iterate over the blobs whose keys start with `prefix`, in ASCII order of the keys."""

    def check(self) -> None:
        """Raise StorageUnavailable if the store cannot be used now."""


def is_key(name: str) -> bool:
    """Return whether this is a valid key. Listings skip other files in the store."""
    return _KEY.fullmatch(name) is not None


def checked_key(key: str) -> str:
    """Return the key. Raises ValueError if it is not valid."""
    if not is_key(key):
        raise ValueError(f"{key!r} is not a blob key")
    return key


def checked_prefix(prefix: str) -> str:
    """Return the prefix. Raises ValueError if no valid key can start with it."""
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"no blob key starts with {prefix!r}")
    return prefix
