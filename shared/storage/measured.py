"""A blob store whose calls are measured (shared/metrics/services.py)."""

import time
from collections.abc import Iterator

from shared.errors import EaselError
from shared.metrics.services import STORAGE_BYTES, STORAGE_ERRORS, STORAGE_SECONDS, measure_storage_call
from shared.storage.blob_store import Blob, BlobStore


class MeasuredBlobStore:
    """Passes every call on to `blobs`."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def put(self, key: str, *parts: bytes | memoryview, content_type: str = "application/octet-stream") -> None:
        """See BlobStore."""
        with measure_storage_call("put"):
            self._blobs.put(key, *parts, content_type=content_type)
        STORAGE_BYTES.inc(sum(memoryview(part).nbytes for part in parts), operation="put")

    def get(self, key: str) -> bytes:
        """See BlobStore."""
        with measure_storage_call("get"):
            data = self._blobs.get(key)
        STORAGE_BYTES.inc(len(data), operation="get")
        return data

    def exists(self, key: str) -> bool:
        """See BlobStore."""
        with measure_storage_call("exists"):
            return self._blobs.exists(key)

    def delete(self, key: str) -> None:
        """See BlobStore."""
        with measure_storage_call("delete"):
            self._blobs.delete(key)

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """See BlobStore."""
        return _measured(self._blobs.list(prefix))  # an invalid prefix is refused by this call

    def check(self) -> None:
        """See BlobStore."""
        with measure_storage_call("check"):
            self._blobs.check()


def _measured(blobs: Iterator[Blob]) -> Iterator[Blob]:
    """Measure a listing without the time that its reader takes between two entries, which may be long."""
    seconds = 0.0
    try:
        while True:
            began = time.perf_counter()
            blob = next(blobs, None)
            seconds += time.perf_counter() - began
            if blob is None:
                return
            yield blob
    except EaselError:
        STORAGE_ERRORS.inc(operation="list")
        raise
    finally:
        STORAGE_SECONDS.observe(seconds, operation="list")
