"""A blob store in memory, gone with the process."""

import threading
import time
from collections.abc import Callable, Iterator

from shared.errors import BlobMissing
from shared.storage.blob_store import Blob, checked_key, checked_prefix


class MemoryBlobStore:
    """A dictionary, for tests and experiments. After a fork each process has its own copy."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._blobs: dict[str, tuple[bytes, float]] = {}
        self._lock = threading.Lock()

    def put(self, key: str, *parts: bytes | memoryview, content_type: str = "application/octet-stream") -> None:  # noqa: ARG002
        """See BlobStore. Ignores the content type."""
        with self._lock:
            self._blobs[checked_key(key)] = (b"".join(parts), self._clock())

    def get(self, key: str) -> bytes:
        """See BlobStore."""
        with self._lock:
            if checked_key(key) not in self._blobs:
                raise BlobMissing(f"There is no blob {key}.")
            return self._blobs[key][0]

    def exists(self, key: str) -> bool:
        """See BlobStore."""
        return checked_key(key) in self._blobs

    def delete(self, key: str) -> None:
        """See BlobStore."""
        with self._lock:
            self._blobs.pop(checked_key(key), None)

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """See BlobStore. Lists the blobs at the time of the call."""
        checked_prefix(prefix)
        with self._lock:
            blobs = [Blob(key, len(data), at) for key, (data, at) in self._blobs.items() if key.startswith(prefix)]
        return iter(sorted(blobs, key=lambda blob: blob.key))

    def check(self) -> None:
        """See BlobStore. Never raises."""
