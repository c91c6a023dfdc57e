"""Blobs in memory, gone with the process."""

import threading
import time
from collections.abc import Callable, Iterator

from shared.errors import BlobMissing
from shared.storage.blob_store import Blob, checked_key, checked_prefix


class MemoryBlobStore:
    """A dictionary: for tests and for trying things. Across a fork each side has its own."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[bytes, float]] = {}
        self._lock = threading.Lock()

    def put(self, key: str, *parts: bytes | memoryview, content_type: str = "application/octet-stream") -> None:  # noqa: ARG002
        """As Blobs says; the content type matters only where a browser may fetch from the store itself."""
        with self._lock:
            self._kept[checked_key(key)] = (b"".join(parts), self._clock())

    def get(self, key: str) -> bytes:
        """As Blobs says."""
        with self._lock:
            if checked_key(key) not in self._kept:
                raise BlobMissing(f"There is no blob {key}.")
            return self._kept[key][0]

    def exists(self, key: str) -> bool:
        """As Blobs says."""
        return checked_key(key) in self._kept

    def delete(self, key: str) -> None:
        """As Blobs says."""
        with self._lock:
            self._kept.pop(checked_key(key), None)

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """As Blobs says, of the moment of the call."""
        checked_prefix(prefix)
        with self._lock:
            found = [Blob(key, len(data), at) for key, (data, at) in self._kept.items() if key.startswith(prefix)]
        return iter(sorted(found, key=lambda blob: blob.key))

    def check(self) -> None:
        """Memory is always there."""
