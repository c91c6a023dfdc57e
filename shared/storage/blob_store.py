"""What every blob store promises.

A blob is written whole or not at all, and may be overwritten; of concurrent writers the last one wins, whole.
Nothing here is conditional: stores differ too much there, and the ledger's fenced transitions decide what counts.
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
    """One line of a listing."""

    key: str
    size: int  # bytes
    modified: float  # seconds since the epoch, by the store's clock


class BlobStore(Protocol):
    """A store of bytes by key. Safe to share between threads and to carry across a fork.

    A key is names of `A-Z a-z 0-9 . _ -` joined by `/`; no name starts with a dot, and no key is another's folder.
    Every call raises ValueError for anything else, and BlobsUnavailable, with its cause, when the store fails.
    """

    def put(self, key: str, *parts: bytes | memoryview, content_type: str = "application/octet-stream") -> None:
        """Keep the parts, in their order, as one blob, an empty one of none.

        When this returns it outlives a crash of the store's machine.
        """

    def get(self, key: str) -> bytes:
        """The bytes. Raises BlobMissing."""

    def exists(self, key: str) -> bool:
        """Whether `get` would find it."""

    def delete(self, key: str) -> None:
        """Forget it; a key that is not there is no error."""

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """Every blob whose key starts with `prefix`, by key, in the order of its ASCII codes."""

    def check(self) -> None:
        """Raise BlobsUnavailable if the store cannot be used now."""


def is_key(name: str) -> bool:
    """Whether it may be a key. A store may hold other things that people or servers left there; listings skip them."""
    return _KEY.fullmatch(name) is not None


def checked_key(key: str) -> str:
    """The key itself. Raises ValueError when it is none."""
    if not is_key(key):
        raise ValueError(f"{key!r} is no blob key")
    return key


def checked_prefix(prefix: str) -> str:
    """The prefix itself. Raises ValueError when no key can start with it."""
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"no blob key starts with {prefix!r}")
    return prefix
